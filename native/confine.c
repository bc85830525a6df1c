/* confine.c - what a process is put into just before it execs the guest's program. */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sys.h"
#include "util.h"

int confine_reset(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sigaction(sig, &dfl, NULL) < 0 && errno != EINVAL)
			return fail("signals", "signal %d", sig);
	sigset_t none;
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return fail("signals", "mask");
	umask(022);
	return 0;
}

int confine_fds(int lowest)
{
	if (close_range((unsigned)lowest, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return fail("fds", "close_range");
	return 0;
}

/* Writes to a file of procfs and to nothing that was put in its place (CVE-2019-16884, CVE-2025-52881). */
static int write_proc(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	struct statfs fs;
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -1;
	if (fs.f_type != PROC_SUPER_MAGIC) {
		errno = EXDEV;
		return -1;
	}
	return write_all(fd, text, strlen(text));
}

int confine_label(const struct plan_record *r)
{
	char text[600];
	bool apparmor = r->op == OP_APPARMOR;
	const char *step = apparmor ? "apparmor" : "selinux", *label = r->args[0].data;
	int n = snprintf(text, sizeof text, "%s%s", apparmor ? "exec " : "", label);
	if (n < 0 || (size_t)n >= sizeof text)
		return fail_with(ENAMETOOLONG, step, "%.200s", label);
	/* The second name is SELinux's, and AppArmor's of kernels before 5.8. */
	if ((!apparmor || write_proc("/proc/thread-self/attr/apparmor/exec", text) < 0) &&
	    ((apparmor && errno != ENOENT) || write_proc("/proc/thread-self/attr/exec", text) < 0))
		return fail(step, "%s", label);
	return 0;
}

/* Drops every capability that is not listed from the bounding set, and what exec would otherwise pass on. */
static int capabilities(const struct plan_record *r)
{
	uint64_t keep = 0;
	for (uint16_t i = 0; i < r->argc; i++) {
		uint64_t number;
		if (!plan_u64(&r->args[i], 63, &number))
			return fail_with(EINVAL, "caps", "%s", r->args[i].data);
		keep |= 1ULL << number;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return fail("caps", "ambient set");
	for (int cap = 0; cap < 64; cap++) {
		int in = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (in < 0) /* the kernel knows no more */
			break;
		if (in == 1 && !(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return fail("caps", "capability %d", cap);
	}
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];
	if (syscall(SYS_capget, &head, sets) < 0)
		return fail("caps", "capget");
	sets[0].inheritable = sets[1].inheritable = 0;
	if (syscall(SYS_capset, &head, sets) < 0)
		return fail("caps", "capset");
	return 0;
}

static int seccomp(const struct plan_arg *program, unsigned flags)
{
	size_t n = program->len / sizeof(struct sock_filter);
	if (program->len % sizeof(struct sock_filter) != 0 || n == 0 || n > BPF_MAXINSNS)
		return fail_with(EINVAL, "seccomp", "the program is not made of 1 to %d whole instructions", BPF_MAXINSNS);
	struct sock_fprog fprog = {(unsigned short)n, (struct sock_filter *)(uintptr_t)program->data};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog) < 0)
		return fail("seccomp", "filter of %zu instructions", n);
	return 0;
}

int confine_apply(const struct plan *p)
{
	const struct plan_record *r;
	if (plan_find(p, OP_NO_NEW_PRIVS) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail("no-new-privs", "prctl");
	static const enum plan_op labels[] = {OP_APPARMOR, OP_SELINUX};
	for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
		if ((r = plan_find(p, labels[i])) && confine_label(r) < 0)
			return -1;
	if ((r = plan_find(p, OP_CAPS)) && capabilities(r) < 0)
		return -1;
	for (uint32_t i = 0; i < p->count; i++) {
		const struct plan_record *f = &p->records[i];
		if ((f->op == OP_SECCOMP || f->op == OP_SECCOMP_LOG) &&
		    seccomp(&f->args[0], f->op == OP_SECCOMP_LOG ? SECCOMP_FILTER_FLAG_LOG : 0) < 0)
			return -1;
	}
	return 0;
}

static bool limit(const struct plan_arg *a, rlim_t *out)
{
	uint64_t v;
	if (strcmp(a->data, "max") == 0) {
		*out = RLIM_INFINITY;
		return true;
	}
	if (!plan_u64(a, UINT64_MAX - 1, &v))
		return false;
	*out = v;
	return true;
}

int confine_limits(const struct plan *p, pid_t pid)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const struct plan_record *r = &p->records[i];
		uint64_t resource;
		struct rlimit value;
		if (r->op != OP_RLIMIT)
			continue;
		if (!plan_u64(&r->args[0], RLIM_NLIMITS - 1, &resource) || !limit(&r->args[1], &value.rlim_cur) ||
		    !limit(&r->args[2], &value.rlim_max))
			return fail_with(EINVAL, "rlimit", "%s: bad arguments", r->args[0].data);
		if (prlimit(pid, (__rlimit_resource_t)resource, &value, NULL) < 0)
			return fail("rlimit", "resource %s: soft %s, hard %s", r->args[0].data, r->args[1].data, r->args[2].data);
	}
	const struct plan_record *oom = plan_find(p, OP_OOM_SCORE);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
	if (oom && write_file_at(AT_FDCWD, path, oom->args[0].data) < 0)
		return fail("oom-score", "%s", oom->args[0].data);
	return 0;
}
