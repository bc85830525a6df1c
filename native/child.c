/* child.c - the guest-to-be: from the clone to the exec of the guest's init, inside the new namespaces. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "confine.h"
#include "fs.h"
#include "net.h"
#include "start.h"
#include "sys.h"
#include "util.h"

static _Noreturn void report_failure(int sock)
{
	struct report r = {.err = failure.err};
	snprintf(r.step, sizeof r.step, "%s", failure.step ? failure.step : "child");
	snprintf(r.text, sizeof r.text, "%s", failure.text);
	(void)send(sock, &r, sizeof r, MSG_NOSIGNAL);
	_exit(127);
}

/* The launcher's go. When it is gone, so is this process: it has nobody to report to. */
static void wait_for_go(int sock)
{
	char byte;
	ssize_t n;
	do
		n = recv(sock, &byte, 1, 0);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(127);
}

/* The launcher's death is this process's, until the exec. Forgotten by the kernel at each change of ids. */
static int die_with_launcher(void)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? fail("child", "PR_SET_PDEATHSIG") : 0;
}

/* Until the exec nobody may look into this process by /proc or ptrace: it is the launcher's image. The exec undoes it, and
 * so does a change of ids. */
static int hide(void)
{
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? fail("child", "PR_SET_DUMPABLE") : 0;
}

static int take_ids(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return fail("ids", "becoming the guest's root");
	return die_with_launcher() < 0 ? -1 : hide();
}

static int enter_namespaces(const struct plan *p, uint64_t namespaces)
{
	const struct plan_record *name = plan_find(p, OP_HOSTNAME);
	if (setsid() < 0 && errno != EPERM)
		return fail("child", "setsid");
	/* Not by the clone: its root would be the cgroup that the launcher cloned from. */
	if (namespaces & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0)
		return fail("cgroup-namespace", "unshare");
	if (name && !(namespaces & CLONE_NEWUTS))
		return fail_with(EINVAL, "hostname", "the plan has no uts namespace");
	if (name && sethostname(name->args[0].data, name->args[0].len) < 0)
		return fail("hostname", "%s", name->args[0].data);
	return namespaces & CLONE_NEWNET ? net_guest(p) : 0;
}

static int next_mount(void *arg)
{
	int fd = recv_fd(*(int *)arg);
	return fd < 0 ? fail("child", "no mount from the launcher") : fd;
}

/* Some directory that everybody may search; not one that hides the host's /proc and /sys, which the kernel must see
 * whole before it lets a user namespace have its own. */
static int attach_root(int root)
{
	static const char *const places[] = {"/run", "/mnt", "/tmp"};
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (move_mount(root, "", AT_FDCWD, places[i], MOVE_MOUNT_F_EMPTY_PATH) == 0)
			return 0;
	return fail("root", "cannot be attached");
}

/* Masks stay private: a copy of theirs in a service's own mount namespace would be a slave of the original, and criu
 * cannot bind slaves of files. */
static int share_root(const struct plan *p)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		return fail("root-shared", "/");
	for (uint32_t i = 0; i < p->count; i++) {
		const struct plan_record *r = &p->records[i];
		/* Absent, or masked by what is above it: no mount point of its own. */
		if (r->op == OP_MASK && mount(NULL, r->args[0].data, NULL, MS_PRIVATE, NULL) < 0 && errno != ENOENT && errno != EINVAL)
			return fail("root-shared", "%s", r->args[0].data);
	}
	return 0;
}

static int change_root(const struct plan *p, int root)
{
	if (fchdir(root) < 0 || sys_pivot_root(".", ".") < 0)
		return fail("pivot-root", "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return fail("pivot-root", "unmount of the host's root");
	if (chdir("/") < 0)
		return fail("pivot-root", "chdir");
	return plan_find(p, OP_ROOT_SHARED) ? share_root(p) : 0;
}

/* The slave of the console, checked to be on devpts; without a console the guest's /dev/null. */
static int open_stdio(const struct plan *p, int root)
{
	const struct plan_record *console = plan_find(p, OP_BIND_CONSOLE);
	if (!console)
		return fs_open_device("stdio", root, "/dev/null", O_RDWR, 1, 3);
	char path[512];
	int n = snprintf(path, sizeof path, "%s/0", console->args[0].data);
	if (n < 0 || (size_t)n >= sizeof path)
		return fail_with(ENAMETOOLONG, "stdio", "%s", console->args[0].data);
	cleanup_fd int fd = open_in_root(root, path, O_RDWR | O_NOCTTY | O_NOFOLLOW, 0);
	struct statfs fs;
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return fail("stdio", "%s", path);
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return fail_with(EXDEV, "stdio", "%s: not on devpts", path);
	return take_fd(&fd);
}

static int set_stdio(const struct plan *p, int root)
{
	cleanup_fd int fd = open_stdio(p, root);
	if (fd < 0)
		return -1;
	for (int i = 0; i < 3; i++)
		if (dup2(fd, i) < 0)
			return fail("stdio", "dup2");
	return 0;
}

static int enter_root(const struct plan *p, int sock)
{
	cleanup_fd int root = next_mount(&sock);
	if (root < 0 || attach_root(root) < 0)
		return -1;
	trace("child-root");
	if (fs_guest(p, root, next_mount, &sock) < 0)
		return -1;
	trace("child-mounts");
	return change_root(p, root) < 0 ? -1 : set_stdio(p, root);
}

/* A guest without an init of its own, held for what others run in it: orphans are reaped by the kernel, and no signal from
 * inside reaches a first process that has not asked for it. It ends with its keeper. */
static _Noreturn void idle(void)
{
	/* What `ps` in the guest shows: not where the host has this program, whose name is longer than this one. */
	static const char name[] = "init";
	size_t room = strlen(program_invocation_name);
	memset(program_invocation_name, 0, room);
	memcpy(program_invocation_name, name, room < sizeof name ? 0 : sizeof name);
	(void)prctl(PR_SET_NAME, name);
	if (close_range(3, ~0U, 0) < 0 || signal(SIGCHLD, SIG_IGN) == SIG_ERR)
		_exit(127);
	for (;;)
		pause();
}

static int exec_init(const struct plan *p)
{
	static char *argv[PLAN_MAX_ARGS + 1], *envp[PLAN_MAX_ARGS + 1];
	const struct plan_record *init = plan_find(p, OP_INIT), *env = plan_find(p, OP_ENV);
	for (uint16_t i = 0; i < init->argc; i++)
		argv[i] = (char *)(uintptr_t)init->args[i].data;
	for (uint16_t i = 0; env && i < env->argc; i++)
		envp[i] = (char *)(uintptr_t)env->args[i].data;
	execve(argv[0], argv, envp);
	return fail("exec-init", "%s", argv[0]);
}

void child_main(const struct plan *p, uint64_t namespaces, int sock)
{
	if (die_with_launcher() < 0 || hide() < 0)
		report_failure(sock);
	/* Nothing of the launcher's but the status fd (for traces) and the socket. */
	if ((sock > 3 && close_range(3, (unsigned)sock - 1, 0) < 0) || close_range((unsigned)sock + 1, ~0U, 0) < 0) {
		(void)fail("child", "close_range");
		report_failure(sock);
	}
	wait_for_go(sock);
	trace("child-waited");
	/* An empty session keyring: keys of the operator's session stay outside. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS) {
		(void)fail("keyring", "session keyring");
		report_failure(sock);
	}
	if (take_ids() < 0 || enter_namespaces(p, namespaces) < 0)
		report_failure(sock);
	trace("child-namespaces");
	if (enter_root(p, sock) < 0 || confine_reset() < 0 || confine_fds(3) < 0)
		report_failure(sock);
	struct report ready = {.ready = 1};
	if (send(sock, &ready, sizeof ready, MSG_NOSIGNAL) != sizeof ready)
		_exit(127);
	wait_for_go(sock);
	const bool idles = !plan_find(p, OP_INIT);
	if ((!idles && prctl(PR_SET_PDEATHSIG, 0) < 0) || confine_apply(p) < 0)
		report_failure(sock);
	if (idles)
		idle();
	if (exec_init(p) < 0)
		report_failure(sock);
	_exit(127);
}
