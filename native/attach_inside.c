/* attach_inside.c - verb `attach`: the worker on its way into the guest, and the command there. */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "confine.h"
#include "sys.h"
#include "util.h"

/* --- cgroups --- */

/* Opens the cgroup v2 that init is in now: the guest's own root refuses processes once its systemd has enabled
 * controllers. Its path is the guest's choice, so it must lie below prefix. */
static int open_init_cgroup(struct attach *a, const char *mount, const char *prefix, int *out)
{
	static char buf[65536]; /* a line per hierarchy, each path at most PATH_MAX */
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)a->init);
	if (read_file_at(AT_FDCWD, path, buf, sizeof buf) < 0)
		return fail("cgroup", "%s", path);
	char *line = buf;
	while (line && strncmp(line, "0::/", 4) != 0) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return fail_with(ENOENT, "cgroup", "init is in no cgroup v2");
	char *below = line + 4;
	below[strcspn(below, "\n")] = '\0';
	prefix += strspn(prefix, "/");
	size_t len = strlen(prefix);
	while (len > 0 && prefix[len - 1] == '/')
		len--;
	bool inside = len == 0 || (strncmp(below, prefix, len) == 0 && (below[len] == '/' || below[len] == '\0'));
	for (const char *p = below; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
		inside = inside && !(strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'));
	if (!inside)
		return fail_with(EXDEV, "cgroup", "init is in /%.200s, not below /%.*s", below, (int)len, prefix);
	cleanup_fd int dir = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail("cgroup", "%s", mount);
	*out = open_in_root(dir, below[0] ? below : ".", O_PATH | O_DIRECTORY, 0);
	return *out < 0 ? fail("cgroup", "%s/%.200s", mount, below) : 0;
}

/* The cgroup v2 directory to clone into, -1 when the plan names none. */
static int open_cgroup(struct attach *a, int *out)
{
	*out = -1;
	const struct plan_record *like = plan_find(&a->plan, OP_CGROUP_LIKE_INIT);
	if (like)
		return open_init_cgroup(a, like->args[0].data, like->args[1].data, out);
	for (uint32_t i = 0; i < a->plan.count; i++) {
		const struct plan_record *r = &a->plan.records[i];
		if (r->op != OP_CGROUP_JOIN || strcmp(r->args[0].data, "v2") != 0)
			continue;
		*out = open(r->args[1].data, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return *out < 0 ? fail("cgroup", "%s", r->args[1].data) : 0;
	}
	return 0;
}

static int join_v1(const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct plan_record *r = &plan->records[i];
		if (r->op != OP_CGROUP_JOIN || strcmp(r->args[0].data, "v1") != 0)
			continue;
		/* A single thread moving itself by `tasks` spares the kernel the wait that cgroup.procs costs. */
		char path[4096];
		int n = snprintf(path, sizeof path, "%s/tasks", r->args[1].data);
		if (n < 0 || (size_t)n >= sizeof path)
			return fail_with(ENAMETOOLONG, "cgroup", "%.200s", r->args[1].data);
		if (write_file_at(AT_FDCWD, path, "0") < 0)
			return fail("cgroup", "%s", path);
	}
	return 0;
}

/* --- the command: inside --- */

static void report_failure(int fd)
{
	struct report r = {.err = failure.err};
	snprintf(r.step, sizeof r.step, "%s", failure.step ? failure.step : "unknown");
	snprintf(r.text, sizeof r.text, "%.255s", failure.text);
	if (write_all(fd, &r, sizeof r) < 0)
		_exit(EXIT_FAILED); /* nobody listens any more */
}

enum { REPORT_FD = 3, PROGRAM_FD = SCRIPT_FD };

/* fds 0 to 2 are the command's, 3 (returned) the report, 4 the script or a program to run if there is one; nothing else of the host
 * stays open, so that no path that the guest controls (--cwd, PATH, /proc/self/fd) leads to it. */
static int settle_fds(const struct attach *a)
{
	cleanup_fd int program = a->program_fd < 0 ? -1 : fcntl(a->program_fd, F_DUPFD_CLOEXEC, PROGRAM_FD + 1);
	if (a->program_fd >= 0 && program < 0)
		return fail("stdio", "program");
	for (int fd = 0; fd < 3; fd++) {
		int from = a->stdio[fd] == STDIO_PTY ? a->slave : a->stdio[fd] == STDIO_RELAY ? a->inner[fd] : fd;
		if (from != fd && dup2(from, fd) < 0)
			return fail("stdio", "fd %d", fd);
	}
	if (a->report[1] != REPORT_FD && dup3(a->report[1], REPORT_FD, O_CLOEXEC) < 0)
		return fail("stdio", "report");
	if (a->script >= 0 && dup2(a->script, SCRIPT_FD) < 0)
		return fail("stdio", "script");
	if (program >= 0 && dup3(program, PROGRAM_FD, O_CLOEXEC) < 0)
		return fail("stdio", "program");
	if (close_range(a->script >= 0 || program >= 0 ? SCRIPT_FD + 1 : SCRIPT_FD, ~0U, 0) < 0)
		return fail("close-fds", "close_range");
	program = -1; /* closed with the others */
	return REPORT_FD;
}

static int put_env(char **env, size_t *count, char *entry)
{
	size_t key = (size_t)(strchrnul(entry, '=') - entry);
	for (size_t i = 0; i < *count; i++)
		if (strncmp(env[i], entry, key) == 0 && env[i][key] == '=') {
			env[i] = entry;
			return 0;
		}
	env[(*count)++] = entry;
	return 0;
}

static int put_var(char **env, size_t *count, const char *key, const char *value)
{
	char *entry;
	if (asprintf(&entry, "%s=%s", key, value) < 0)
		return fail_with(ENOMEM, "environment", "%s", key);
	return put_env(env, count, entry);
}

/* The caller's TERM, when it is the plain word that terminfo names are. */
static const char *term_name(void)
{
	const char *term = getenv("TERM");
	size_t len = term ? strlen(term) : 0;
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+._-";
	return len > 0 && len <= 64 && term[0] != '.' && strspn(term, plain) == len ? term : "dumb";
}

/* The plan's environment, then the user's, then --env; a later one takes an earlier one's place. */
static int make_env(const struct attach *a)
{
	const struct plan_record *base = plan_find(&a->plan, OP_ENV);
	size_t count = 0, most = (base ? base->argc : 0U) + a->env_count + 8;
	char **env = calloc(most, sizeof *env);
	if (!env)
		return fail("environment", "memory");
	/* The plan's bytes are this process's own copy and live until exec. */
	for (int i = 0; base && i < base->argc; i++)
		if (strchr(base->args[i].data, '='))
			put_env(env, &count, (char *)(uintptr_t)base->args[i].data);
	if (put_var(env, &count, "HOME", a->user.entry.home) < 0 || put_var(env, &count, "SHELL", a->user.entry.shell) < 0)
		goto failed;
	if (a->user.entry.name[0] &&
	    (put_var(env, &count, "USER", a->user.entry.name) < 0 || put_var(env, &count, "LOGNAME", a->user.entry.name) < 0))
		goto failed;
	if (a->pty && put_var(env, &count, "TERM", term_name()) < 0)
		goto failed;
	for (size_t i = 0; i < a->env_count; i++)
		put_env(env, &count, a->env[i]);
	environ = env;
	return 0;
failed:
	free(env);
	return -1;
}

static int become_user(const struct user *u)
{
	if (setgroups(u->group_count, u->groups) < 0)
		return fail("user", "setgroups");
	if (u->entry.gid != 0 && setresgid(u->entry.gid, u->entry.gid, u->entry.gid) < 0)
		return fail("user", "gid %u", u->entry.gid);
	if (u->entry.uid != 0 && setresuid(u->entry.uid, u->entry.uid, u->entry.uid) < 0)
		return fail("user", "uid %u", u->entry.uid);
	/* A change of ids may have made us dumpable again (fs.suid_dumpable), and we still are the launcher's image. */
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? fail("dumpable", "prctl") : 0;
}

/* Whoever kills the relay hard must not leave the command behind: with a pty the hangup tells it, else this does. The kernel
 * forgets it when the command execs a set-uid program; that one then sees its pipes break at most. */
static int die_with_relay(int report)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return fail("pdeathsig", "prctl");
	struct pollfd p = {.fd = report};
	if (poll(&p, 1, 0) < 0)
		return fail("pdeathsig", "poll");
	if (p.revents & POLLERR)
		_exit(EXIT_FAILED); /* it is dead already */
	return 0;
}

static int enter_directory(const struct attach *a)
{
	if (a->cwd)
		return chdir(a->cwd) < 0 ? fail("cwd", "%s", a->cwd) : 0;
	if (chdir(a->user.entry.home) < 0 && chdir("/") < 0) /* a home that is not there is no reason to fail */
		return fail("cwd", "/");
	return 0;
}

static int prepare_command(const struct attach *a, int *report)
{
	/* Always a session of its own: else /dev/tty would be the operator's terminal. */
	if (setsid() < 0)
		return fail("session", "setsid");
	*report = settle_fds(a);
	if (*report < 0) {
		*report = a->report[1];
		return -1;
	}
	if (a->pty && (ioctl(0, TIOCSCTTY, 0) < 0 || fchown(0, a->user.entry.uid, (gid_t)-1) < 0))
		return fail("pty", "controlling terminal");
	if (confine_reset() < 0 || make_env(a) < 0 || confine_apply(&a->plan) < 0 || become_user(&a->user) < 0)
		return -1;
	if (!a->pty && die_with_relay(*report) < 0)
		return -1;
	return enter_directory(a);
}

static _Noreturn void command(const struct attach *a)
{
	int report = a->report[1];
	if (prepare_command(a, &report) == 0) {
		if (a->program_fd >= 0)
			(void)fexecve(PROGRAM_FD, a->argv, environ);
		else
			execvp(a->argv[0], a->argv);
		fail("exec", "%s", a->argv[0]);
		report_failure(report);
		_exit(failure.err == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
	}
	report_failure(report);
	_exit(EXIT_FAILED);
}

/* --- the worker: on its way in --- */

/* Asked for while /proc still is the host's: in the guest a file of its own could lie over it and take the label in vain.
 * The clone inherits it. A record is struck out so that confine_apply does not ask again. */
static int labels_on_exec(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		struct plan_record *r = &plan->records[i];
		if (r->op != OP_APPARMOR && r->op != OP_SELINUX)
			continue;
		if (confine_label(r) < 0)
			return -1;
		r->op = 0;
	}
	return 0;
}

static int enter_guest(struct attach *a)
{
	/* From here until exec nobody in the guest may look into us by /proc or ptrace. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail("dumpable", "prctl");
	if (join_v1(&a->plan) < 0 || confine_limits(&a->plan, getpid()) < 0 || labels_on_exec(&a->plan) < 0)
		return -1;
	/* An empty session keyring: keys of the operator's session stay outside. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return fail("keyring", "session keyring");
	if (a->namespaces != 0 && setns(a->pidfd, a->namespaces) < 0)
		return errno == ESRCH ? fail("setns", "the guest's init has ended") : fail("setns", "the guest's namespaces");
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return fail("setns", "becoming the guest's root");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail("dumpable", "prctl");
	if (chdir("/") < 0)
		return fail("cwd", "/");
	return 0;
}

static int open_pty(struct attach *a)
{
	if (guest_pty(&a->master, &a->slave) < 0)
		return -1;
	if (ioctl(a->master, TIOCSWINSZ, &a->size) < 0)
		return fail("pty", "window size");
	/* The operator's erase character, UTF-8 and the like hold inside too. */
	if (a->terminal.fd >= 0 && tcsetattr(a->slave, TCSANOW, &a->terminal.saved) < 0)
		return fail("pty", "terminal modes");
	return 0;
}

static int work(struct attach *a)
{
	if (enter_guest(a) < 0 || user_resolve(a->user_spec, &a->user) < 0 || (a->pty && open_pty(a) < 0))
		return -1;
	struct clone_args args = {.flags = CLONE_PARENT};
	pid_t pid = sys_clone3(&args);
	if (pid < 0)
		return fail("clone", "the command's process");
	if (pid == 0)
		command(a);
	if (write_all(a->channel[1], &pid, sizeof pid) < 0 || (a->pty && send_fd(a->channel[1], a->master) < 0))
		return fail("channel", "to the relay");
	return 0;
}

int fork_worker(struct attach *a)
{
	/* Init's cgroup may vanish or start to refuse processes while its systemd arranges things: look again. */
	for (int tries = 3;; tries--) {
		cleanup_fd int cgroup = -1;
		if (open_cgroup(a, &cgroup) < 0) {
			if (failure.err == ENOENT && tries > 1)
				continue;
			return -1;
		}
		struct clone_args args = {.exit_signal = SIGCHLD};
		if (cgroup >= 0) {
			args.flags = CLONE_INTO_CGROUP;
			args.cgroup = (uint64_t)cgroup;
		}
		a->worker = sys_clone3(&args);
		if (a->worker >= 0)
			break;
		bool moved = errno == ENOENT || errno == ENODEV || errno == EBUSY || errno == EOPNOTSUPP;
		if (cgroup < 0 || !moved || tries == 1)
			return fail("clone", "the worker");
	}
	if (a->worker > 0)
		return 0;
	close(a->report[0]);
	close(a->channel[0]);
	if (work(a) < 0) {
		report_failure(a->report[1]);
		_exit(EXIT_FAILED);
	}
	_exit(0);
}
