/* attach.c - verb `attach`: runs a command in a running guest.
 *
 * Three processes. The *relay* is the caller's child and stays on the host: it carries bytes and signals and returns the
 * command's exit status. It forks a *worker*, which joins the guest's cgroups and namespaces, finds the user, opens the pty,
 * and clones the *command* with CLONE_PARENT: so the command is the relay's child, and the worker ends without a trace in
 * the guest (it never was in the guest's pid namespace; the command, which is, holds nothing of the host's any more when it
 * touches a path the guest controls).
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"
#include "keeper.h"
#include "passwd.h"
#include "pty.h"
#include "sys.h"
#include "util.h"
#include "verbs.h"

enum { EXIT_FAILED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

enum tty_mode { TTY_AUTO, TTY_ALWAYS, TTY_NEVER };

/* What becomes of one of the caller's fds 0, 1, 2. */
enum stdio {
	STDIO_PASS,  /* given to the command as it is */
	STDIO_RELAY, /* the command gets a pipe, the relay copies */
	STDIO_PTY,   /* the command gets the slave of a pty in the guest */
};

/* What the worker or the command says when it fails. Fixed size, at most PIPE_BUF: one write, one read. */
struct report {
	int32_t err;
	char step[32];
	char text[256];
};

struct attach {
	const char *user_spec, *cwd, *rundir;
	enum tty_mode tty;
	int status_fd;
	char **argv, **env;
	size_t env_count;

	struct plan plan;
	int namespaces; /* CLONE_NEW* flags */
	pid_t init;
	int pidfd;

	enum stdio stdio[3];
	bool pty;
	int inner[3], outer[3]; /* pipes of relayed fds: the command's end, ours */
	struct terminal terminal;
	struct winsize size;

	int signals;        /* signalfd */
	int channel[2];     /* socket: the worker sends the command's pid, then the pty's master */
	int report[2];      /* pipe: struct report on failure; the command's end closes on exec */
	pid_t worker;
	struct user user;
	int master, slave;
};

/* --- options --- */

static int usage(const char *what, const char *value)
{
	return fail_with(EINVAL, "usage", "%s%s", what, value ? value : "");
}

static int parse_option(struct attach *a, const char *name, char *value)
{
	if (strcmp(name, "--user") == 0) {
		a->user_spec = value;
	} else if (strcmp(name, "--cwd") == 0) {
		a->cwd = value;
	} else if (strcmp(name, "--env") == 0) {
		if (value[0] == '=' || !strchr(value, '='))
			return usage("--env wants KEY=VALUE, not ", value);
		a->env[a->env_count++] = value;
	} else if (strcmp(name, "--tty") == 0) {
		if (strcmp(value, "auto") == 0)
			a->tty = TTY_AUTO;
		else if (strcmp(value, "always") == 0)
			a->tty = TTY_ALWAYS;
		else if (strcmp(value, "never") == 0)
			a->tty = TTY_NEVER;
		else
			return usage("--tty wants auto, always or never, not ", value);
	} else if (strcmp(name, "--status-fd") == 0) {
		uint32_t fd;
		if (!passwd_id(value, strlen(value), &fd) || fd < 3 || fd > 1 << 20 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
			return usage("--status-fd wants an open fd above 2, not ", value);
		a->status_fd = (int)fd;
	} else {
		return usage("unknown option ", name);
	}
	return 0;
}

static int parse_options(struct attach *a, int argc, char **argv)
{
	int i = 1;
	while (i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0) {
		if (i + 1 >= argc)
			return usage("no value after ", argv[i]);
		if (parse_option(a, argv[i], argv[i + 1]) < 0)
			return -1;
		i += 2;
	}
	if (i + 2 >= argc || strcmp(argv[i + 1], "--") != 0)
		return usage("attach [OPTIONS] RUNDIR -- ARGV...", NULL);
	a->rundir = argv[i];
	a->argv = argv + i + 2;
	return 0;
}

/* --- standard input and output --- */

static bool is_plain_source(dev_t dev)
{
	unsigned n = minor(dev);
	return major(dev) == 1 && (n == 3 || n == 5 || n == 7 || n == 8 || n == 9); /* null zero full random urandom */
}

/* A terminal of the host never enters the guest (TIOCSTI, terminal takeover), nor does another device; a directory would be
 * a way out of the guest (CVE-2024-21626), a block device a way around the device rules. */
static int look_at_stdio(int fd, enum stdio *out)
{
	struct stat st;
	*out = STDIO_PASS;
	if (fstat(fd, &st) < 0) {
		/* Closed: /dev/null takes exactly this place, since fds are looked at from 0 up. */
		return errno == EBADF && open("/dev/null", O_RDWR) == fd ? 0 : fail("stdio", "fd %d", fd);
	}
	if (S_ISCHR(st.st_mode) && !is_plain_source(st.st_rdev))
		*out = STDIO_RELAY;
	else if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return fail_with(EINVAL, "stdio", "fd %d is a directory, a block device or nothing to read and write", fd);
	return 0;
}

static bool is_file(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int plan_stdio(struct attach *a)
{
	bool tty[3], privileged = !(a->namespaces & CLONE_NEWUSER);
	int first = -1;
	for (int fd = 2; fd >= 0; fd--) {
		tty[fd] = a->stdio[fd] == STDIO_RELAY && isatty(fd);
		first = tty[fd] ? fd : first;
		/* Root of a privileged guest could open a file for writing, by /proc/self/fd, that was handed in for reading. */
		if (privileged && is_file(fd))
			a->stdio[fd] = STDIO_RELAY;
	}
	a->pty = a->tty == TTY_ALWAYS || (a->tty == TTY_AUTO && tty[0] && tty[1]);
	if (!a->pty)
		return 0;
	a->stdio[0] = a->stdio[1] = STDIO_PTY;
	if (a->tty == TTY_ALWAYS || tty[2])
		a->stdio[2] = STDIO_PTY;
	if (first < 0 || ioctl(first, TIOCGWINSZ, &a->size) < 0)
		a->size = (struct winsize){.ws_row = 24, .ws_col = 80};
	return tty[0] && terminal_open(&a->terminal, 0) < 0 ? fail("terminal", "its modes cannot be read") : 0;
}

/* Lets the guest's user open /dev/stdin, /dev/stdout and /dev/stderr: a pipe belongs to the host's user who made it, whom the
 * guest does not have. Only the direction that the command has anyway; nobody else can reach the pipe by a path. */
static int open_up_pipe(int fd, int which)
{
	struct stat st;
	struct statfs fs;
	mode_t want = which == 0 ? 0444 : 0222;
	if (fstat(fd, &st) < 0)
		return -1;
	if (!S_ISFIFO(st.st_mode) || (st.st_mode & want) == want)
		return 0;
	/* A fifo with a name is a file of the host's: not ours to change. */
	if (fstatfs(fd, &fs) < 0)
		return -1;
	if (fs.f_type != PIPEFS_MAGIC)
		return 0;
	return fchmod(fd, (st.st_mode & 0777) | want);
}

static int make_pipes(struct attach *a)
{
	for (int fd = 0; fd < 3; fd++) {
		if (a->stdio[fd] == STDIO_RELAY) {
			int ends[2];
			if (pipe2(ends, O_CLOEXEC) < 0)
				return fail("stdio", "pipe");
			a->inner[fd] = ends[fd == 0 ? 0 : 1];
			a->outer[fd] = ends[fd == 0 ? 1 : 0];
			if (fcntl(a->outer[fd], F_SETFL, O_NONBLOCK) < 0 || open_up_pipe(a->inner[fd], fd) < 0)
				return fail("stdio", "pipe for fd %d", fd);
		}
	}
	return 0;
}

/* --- the guest --- */

/* Takes one decimal number off *at. */
static bool take_number(const char **at, uint64_t *out)
{
	const char *p = *at;
	size_t len = strspn(p, "0123456789");
	struct plan_arg arg = {p, (uint32_t)len};
	if (len > 20 || !plan_u64(&arg, UINT64_MAX, out) || (p[len] != ' ' && p[len] != '\n'))
		return false;
	*at = p + len + 1;
	return true;
}

/* Opens a pidfd for init as RUNDIR/init records it. The start time is looked at afterwards: pid numbers are used again. */
static int find_init(struct attach *a, int rundir)
{
	char record[256], boot_id[64];
	ssize_t n = read_file_at(rundir, "init", record, sizeof record);
	if (n < 0)
		return fail("record", errno == ENOENT ? "the guest is not running" : "%s/init cannot be read", a->rundir);
	const char *at = record;
	uint64_t version, pid, start, keeper, keeper_start;
	if (!take_number(&at, &version))
		return fail_with(EPROTO, "record", "%s/init is malformed", a->rundir);
	if (version != KEEPER_VERSION)
		return fail_with(EPROTO, "record", "%s/init has version %llu, known is %d", a->rundir, (unsigned long long)version,
				 KEEPER_VERSION);
	if (!take_number(&at, &pid) || !take_number(&at, &start) || !take_number(&at, &keeper) ||
	    !take_number(&at, &keeper_start) || pid < 1 || pid > INT32_MAX)
		return fail_with(EPROTO, "record", "%s/init is malformed", a->rundir);
	if (read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id) < 0)
		return fail("record", "boot_id");
	if (strcmp(at, boot_id) != 0)
		return fail_with(ESRCH, "record", "%s/init is of an earlier boot", a->rundir);
	a->init = (pid_t)pid;
	a->pidfd = pidfd_open(a->init, 0);
	if (a->pidfd < 0 && errno != ESRCH)
		return fail("pidfd", "init %d", (int)a->init);
	if (a->pidfd < 0 || process_starttime(a->init) != start)
		return fail_with(ESRCH, "pidfd", "the guest's init has ended");
	return 0;
}

static int parse_namespaces(struct attach *a)
{
	static const struct {
		const char *name;
		int flag;
	} known[] = {
		{"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID}, {"mnt", CLONE_NEWNS},       {"uts", CLONE_NEWUTS},
		{"ipc", CLONE_NEWIPC},   {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP},
	};
	const struct plan_record *r = plan_find(&a->plan, OP_NAMESPACES);
	for (int i = 0; r && i < r->argc; i++) {
		size_t k = 0;
		while (k < sizeof known / sizeof known[0] && strcmp(known[k].name, r->args[i].data) != 0)
			k++;
		if (k == sizeof known / sizeof known[0])
			return fail_with(EINVAL, "plan", "unknown namespace %s", r->args[i].data);
		a->namespaces |= known[k].flag;
	}
	if (!(a->namespaces & CLONE_NEWNS))
		return fail_with(EINVAL, "plan", "no mnt namespace to enter");
	return 0;
}

static int read_plan(struct attach *a, int rundir)
{
	cleanup_fd int fd = openat(rundir, "attach", O_RDONLY | O_CLOEXEC);
	const char *why = "cannot be opened";
	if (fd < 0 || plan_read(fd, &a->plan, &why) < 0)
		return fail("plan", "%s/attach: %s", a->rundir, why);
	return parse_namespaces(a);
}

/* A restored guest lives in a time namespace, of which no plan tells. */
static int find_time_namespace(struct attach *a)
{
	char path[64];
	struct stat ours, theirs;
	snprintf(path, sizeof path, "/proc/%d/ns/time", (int)a->init);
	if (stat("/proc/self/ns/time", &ours) < 0)
		return errno == ENOENT ? 0 : fail("namespaces", "/proc/self/ns/time"); /* a kernel without them */
	if (stat(path, &theirs) < 0)
		return errno == ENOENT ? fail_with(ESRCH, "namespaces", "the guest's init has ended") : fail("namespaces", "%s", path);
	if (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev)
		a->namespaces |= CLONE_NEWTIME;
	return 0;
}

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

/* --- our own program file --- */

/* Root in a guest without a user namespace could write to our program by /proc/PID/exe (CVE-2019-5736). So there the verb
 * runs again from a sealed copy in memory. Returns 0 when this is the copy. */
static int run_from_copy(int status_fd, int argc, char **argv)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	cleanup_fd int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (self < 0)
		return fail("self-copy", "/proc/self/exe");
	int have = fcntl(self, F_GET_SEALS);
	if (have >= 0 && (have & seals) == seals)
		return 0;
	struct stat st;
	if (fstat(self, &st) < 0)
		return fail("self-copy", "/proc/self/exe");
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
#ifdef MFD_EXEC
	const unsigned exec_flag = MFD_EXEC;
#else
	const unsigned exec_flag = 0x0010; /* Linux 6.3; without it vm.memfd_noexec may take the x bits away */
#endif
	cleanup_fd int copy = memfd_create("berth-launch", flags | exec_flag);
	if (copy < 0 && errno == EINVAL)
		copy = memfd_create("berth-launch", flags);
	if (copy < 0)
		return fail("self-copy", "memfd");
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(copy, self, NULL, (size_t)left);
		if (n <= 0)
			return fail_with(n < 0 ? errno : EIO, "self-copy", "copying");
		left -= n;
	}
	if (fcntl(copy, F_ADD_SEALS, seals) < 0)
		return fail("self-copy", "seals");
	char **args = calloc((size_t)argc + 2, sizeof *args);
	if (!args)
		return fail("self-copy", "arguments");
	args[0] = "berth-launch";
	memcpy(args + 1, argv, (size_t)argc * sizeof *argv);
	/* The copy reads --status-fd anew. */
	if (status_fd >= 0 && fcntl(status_fd, F_SETFD, 0) < 0)
		return fail("self-copy", "status fd");
	int status = fexecve(copy, args, environ);
	free(args);
	return status < 0 ? fail("self-copy", "exec") : -1;
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

/* fds 0 to 2 are the command's, 3 (returned) the report; nothing else of the host stays open, so that no path that the
 * guest controls (--cwd, PATH, /proc/self/fd) leads to it. */
static int settle_fds(const struct attach *a)
{
	for (int fd = 0; fd < 3; fd++) {
		int from = a->stdio[fd] == STDIO_PTY ? a->slave : a->stdio[fd] == STDIO_RELAY ? a->inner[fd] : fd;
		if (from != fd && dup2(from, fd) < 0)
			return fail("stdio", "fd %d", fd);
	}
	if (a->report[1] != 3 && dup3(a->report[1], 3, O_CLOEXEC) < 0)
		return fail("stdio", "report");
	if (close_range(4, ~0U, 0) < 0)
		return fail("close-fds", "close_range");
	return 3;
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
 * The clone inherits it. The record is struck out so that confine_apply does not ask again. */
static int apparmor_on_exec(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		struct plan_record *r = &plan->records[i];
		char text[600];
		if (r->op != OP_APPARMOR)
			continue;
		int n = snprintf(text, sizeof text, "exec %s", r->args[0].data);
		if (n < 0 || (size_t)n >= sizeof text)
			return fail_with(ENAMETOOLONG, "apparmor", "%.200s", r->args[0].data);
		/* The second name is that of kernels before 5.8. */
		if (write_file_at(AT_FDCWD, "/proc/thread-self/attr/apparmor/exec", text) < 0 &&
		    (errno != ENOENT || write_file_at(AT_FDCWD, "/proc/thread-self/attr/exec", text) < 0))
			return fail("apparmor", "profile %s", r->args[0].data);
		r->op = 0;
	}
	return 0;
}

static int enter_guest(struct attach *a)
{
	/* From here until exec nobody in the guest may look into us by /proc or ptrace. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail("dumpable", "prctl");
	if (join_v1(&a->plan) < 0 || confine_limits(&a->plan, getpid()) < 0 || apparmor_on_exec(&a->plan) < 0)
		return -1;
	/* An empty session keyring: keys of the operator's session stay outside. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return fail("keyring", "session keyring");
	if (setns(a->pidfd, a->namespaces) < 0)
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

static int fork_worker(struct attach *a)
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

/* --- the relay: outside --- */

struct relay {
	struct attach *a;
	pid_t pid;       /* the command, 0 while it is not known */
	bool waiting;    /* for something on the channel */
	int status;      /* exit status of the whole, -1 while undecided */
	int code;        /* the command's, -1 while it runs */
	bool sent_eof;
	struct flow input, output[3];
	int inputs, outputs;
};

/* Prints the failure as the interface wants it. Foreign bytes in it must not reach a terminal. */
static void complain(int status_fd)
{
	char line[1024];
	int n = status_fd >= 0
			? snprintf(line, sizeof line, "error %s %d %s", failure.step, failure.err, failure.text)
			: snprintf(line, sizeof line, "berth-launch: %s: %s%s%s", failure.step, failure.text, failure.err ? ": " : "",
				   failure.err ? strerror(failure.err) : "");
	if (n < 0)
		return;
	size_t len = (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 32 || line[i] == 127)
			line[i] = '?';
	line[len] = '\n';
	if (write_all(status_fd >= 0 ? status_fd : 2, line, len + 1) < 0)
		return; /* the exit status tells */
}

/* Takes over what the worker or the command reported. Returns false when they did not. */
static bool take_report(const struct attach *a)
{
	static struct report r;
	if (read(a->report[0], &r, sizeof r) != (ssize_t)sizeof r)
		return false;
	r.step[sizeof r.step - 1] = r.text[sizeof r.text - 1] = '\0';
	fail_with(r.err, r.step, "%s", r.text);
	return true;
}

static void start_pty(struct relay *r, int master)
{
	struct attach *a = r->a;
	a->master = master;
	/* Our own slave keeps the pty alive while the command has closed its own for a moment; the end is the command's exit. */
	a->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	flow_init(&r->input, 0, master);
	r->inputs = 1;
	int out = own_nonblocking(1);
	flow_init(&r->output[r->outputs++], master, out >= 0 ? out : 1);
}

static void start_pipes(struct relay *r)
{
	struct attach *a = r->a;
	for (int fd = 0; fd < 3; fd++) {
		if (a->stdio[fd] != STDIO_RELAY)
			continue;
		close_fd(&a->inner[fd]);
		if (fd == 0) {
			flow_init(&r->input, 0, a->outer[0]);
			r->inputs = 1;
			continue;
		}
		int out = own_nonblocking(fd);
		flow_init(&r->output[r->outputs++], a->outer[fd], out >= 0 ? out : fd);
	}
}

static void reap(struct relay *r)
{
	int status;
	if (r->code >= 0 || r->pid == 0 || waitpid(r->pid, &status, WNOHANG) != r->pid)
		return;
	r->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	for (int i = 0; i < r->outputs; i++)
		flow_end(&r->output[i]);
}

/* The worker's news: the command's pid, then the pty. */
static int take_news(struct relay *r)
{
	struct attach *a = r->a;
	if (r->pid == 0) {
		pid_t pid;
		ssize_t n = read(a->channel[0], &pid, sizeof pid);
		if (n != (ssize_t)sizeof pid || pid <= 0) {
			int status;
			if (take_report(a))
				return -1;
			if (waitpid(a->worker, &status, 0) == a->worker && WIFSIGNALED(status))
				return fail_with(0, "worker", "killed by signal %d on its way into the guest", WTERMSIG(status));
			return fail_with(EPROTO, "worker", "ended without a word");
		}
		r->pid = pid;
		start_pipes(r);
		r->waiting = a->pty;
	} else {
		int master = recv_fd(a->channel[0]);
		if (master < 0)
			return fail("pty", "not received");
		start_pty(r, master);
		r->waiting = false;
	}
	if (!r->waiting)
		reap(r);
	return 0;
}

static void forward(const struct relay *r, const struct signalfd_siginfo *si)
{
	/* The pid cannot be another's: it is our child and not yet reaped. What the terminal sent goes to the command's
	 * whole process group, as the terminal would have done it. */
	int sig = (int)si->ssi_signo;
	if (si->ssi_code == SI_KERNEL && kill(-r->pid, sig) == 0)
		return;
	kill(r->pid, sig);
}

static void resize(const struct attach *a)
{
	struct winsize size;
	for (int fd = 0; fd < 3; fd++)
		if (ioctl(fd, TIOCGWINSZ, &size) == 0) {
			ioctl(a->master, TIOCSWINSZ, &size);
			return;
		}
}

static void take_signal(struct relay *r, const struct signalfd_siginfo *si)
{
	struct attach *a = r->a;
	int sig = (int)si->ssi_signo;
	bool deadly = sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;
	if (sig == SIGCHLD) {
		reap(r);
	} else if (sig == SIGTSTP) {
		terminal_stop(&a->terminal);
	} else if (sig == SIGCONT) {
		/* A shell may have set its own modes in the meantime. */
		if (a->terminal.raw && terminal_raw(&a->terminal) < 0)
			r->status = 128 + SIGHUP;
		if (a->master >= 0)
			resize(a);
	} else if (sig == SIGWINCH && a->pty) {
		if (a->master >= 0)
			resize(a);
	} else if (deadly && (r->pid == 0 || r->code >= 0)) {
		/* No command yet (the worker may hang in the guest) or no more (its output is not being read). */
		if (r->pid == 0)
			kill(a->worker, SIGKILL);
		r->status = 128 + sig;
	} else if (sig != SIGPIPE && r->pid != 0) {
		forward(r, si);
	}
}

/* End of input on a pty is a character. One more when a line is begun, which the first only sends off. */
static void send_eof(struct relay *r)
{
	struct termios t;
	char eof[2] = {4, 4};
	if (tcgetattr(r->a->master, &t) == 0)
		eof[0] = eof[1] = (char)t.c_cc[VEOF];
	r->sent_eof = flow_put(&r->input, eof, r->input.last == '\n' ? 1 : 2);
}

static void check_flows(struct relay *r)
{
	struct attach *a = r->a;
	if (r->inputs && a->pty) {
		if (r->input.eof && a->terminal.fd >= 0)
			r->status = 128 + SIGHUP; /* the operator's terminal is gone; closing the pty hangs up on the command */
		else if (r->input.eof && !r->sent_eof)
			send_eof(r);
	} else if (r->inputs && (r->input.broken || (r->input.eof && flow_held(&r->input) == 0))) {
		close_fd(&a->outer[0]);
		r->inputs = 0;
	}
	for (int i = 0; i < r->outputs; i++) {
		struct flow *f = &r->output[i];
		if (!f->broken || f->from < 0)
			continue;
		if (f->from == a->master)
			r->status = 128 + SIGPIPE;
		else
			close(f->from); /* the command gets its SIGPIPE */
		f->from = -1;
	}
}

/* After the command's end: whether all that it wrote has been written out. */
static bool drained(struct relay *r)
{
	bool all = true;
	for (int i = 0; i < r->outputs; i++) {
		struct flow *f = &r->output[i];
		flow_drain(f);
		all = all && (f->broken || (f->from < 0 && flow_held(f) == 0) || (f->eof && flow_held(f) == 0));
	}
	return all;
}

static int take_signals(struct relay *r)
{
	struct signalfd_siginfo si[8];
	ssize_t n = read(r->a->signals, si, sizeof si);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : fail("signals", "signalfd");
	for (size_t i = 0; i < (size_t)n / sizeof si[0]; i++)
		take_signal(r, &si[i]);
	return 0;
}

/* Until the command has ended and its output is out. Returns the exit status, or -1 after fail(). */
static int relay(struct attach *a)
{
	/* Holds the buffers: too large for a stack, and never touched beyond what is used. */
	static struct relay r = {.waiting = true, .status = -1, .code = -1};
	r.a = a;
	while (r.status < 0 && !(r.code >= 0 && !r.waiting && drained(&r))) {
		struct pollfd p[10] = {{.fd = a->signals, .events = POLLIN},
				       {.fd = r.waiting ? a->channel[0] : -1, .events = POLLIN}};
		nfds_t n = 2;
		bool input = r.inputs && r.code < 0;
		if (input) {
			flow_poll(&r.input, p + n);
			n += 2;
		}
		nfds_t first_output = n;
		for (int i = 0; i < r.outputs; i++, n += 2)
			flow_poll(&r.output[i], p + n);
		if (poll(p, n, -1) < 0) {
			if (errno == EINTR)
				continue;
			return fail("relay", "poll");
		}
		if (p[0].revents && take_signals(&r) < 0)
			return -1;
		if (p[1].revents && take_news(&r) < 0)
			return -1;
		if (input)
			flow_move(&r.input, p + 2);
		for (nfds_t i = 0, at = first_output; at < n; i++, at += 2)
			flow_move(&r.output[i], p + at);
		check_flows(&r);
	}
	return r.status >= 0 ? r.status : r.code;
}

/* --- all of it --- */

static int prepare(struct attach *a, int argc, char **argv)
{
	/* First of all, so that no other file can come to lie on 0 to 2. */
	for (int fd = 0; fd < 3; fd++)
		if (look_at_stdio(fd, &a->stdio[fd]) < 0)
			return -1;
	a->env = calloc((size_t)argc, sizeof *a->env);
	if (!a->env)
		return fail("usage", "memory");
	if (parse_options(a, argc, argv) < 0)
		return -1;
	cleanup_fd int rundir = open(a->rundir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rundir < 0)
		return fail("record", errno == ENOENT ? "the guest is not running" : "%s", a->rundir);
	if (find_init(a, rundir) < 0 || read_plan(a, rundir) < 0)
		return -1;
	if (!(a->namespaces & CLONE_NEWUSER) && run_from_copy(a->status_fd, argc, argv) < 0)
		return -1;
	if (find_time_namespace(a) < 0 || plan_stdio(a) < 0 || make_pipes(a) < 0)
		return -1;
	for (int fd = 0; fd < 3; fd++)
		if (a->stdio[fd] == STDIO_PASS && open_up_pipe(fd, fd) < 0)
			return fail("stdio", "fd %d", fd);
	a->signals = relay_signals(a->terminal.fd >= 0);
	if (a->signals < 0)
		return fail("signals", "signalfd");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a->channel) < 0 || pipe2(a->report, O_CLOEXEC) < 0)
		return fail("channel", "to the worker");
	return fcntl(a->report[0], F_SETFL, O_NONBLOCK) < 0 ? fail("channel", "to the worker") : 0;
}

static int run(struct attach *a)
{
	if (a->terminal.fd >= 0 && terminal_raw(&a->terminal) < 0)
		return fail("terminal", "raw mode");
	if (fork_worker(a) < 0)
		return -1;
	close_fd(&a->channel[1]);
	close_fd(&a->report[1]);
	return relay(a);
}

int attach_main(int argc, char **argv)
{
	static struct attach a = {
		.status_fd = -1,
		.pidfd = -1,
		.inner = {-1, -1, -1},
		.outer = {-1, -1, -1},
		.terminal = {.fd = -1},
		.signals = -1,
		.channel = {-1, -1},
		.report = {-1, -1},
		.master = -1,
		.slave = -1,
	};
	int status = prepare(&a, argc, argv) < 0 ? -1 : run(&a);
	terminal_restore(&a.terminal);
	if (status < 0) {
		complain(a.status_fd);
		return EXIT_FAILED;
	}
	/* 125 to 127 may be the command's own: only a report says that it was never run. */
	if (status >= EXIT_FAILED && status <= EXIT_NOT_FOUND && take_report(&a))
		complain(a.status_fd);
	return status;
}
