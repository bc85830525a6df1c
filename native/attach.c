/* attach.c - verb `attach`: runs a command in a running guest.
 *
 * Three processes. The *relay* is the caller's child and stays on the host: it carries bytes and signals and returns the
 * command's exit status. It forks a *worker*, which joins the guest's cgroups and namespaces, finds the user, opens the pty,
 * and clones the *command* with CLONE_PARENT: so the command is the relay's child, and the worker ends without a trace in
 * the guest (it never was in the guest's pid namespace; the command, which is, holds nothing of the host's any more when it
 * touches a path the guest controls).
 */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "keeper.h"
#include "selfcopy.h"
#include "util.h"
#include "verbs.h"

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
	bool tty[3] = {false};
	int first = -1;
	for (int fd = 2; fd >= 0; fd--) {
		tty[fd] = a->stdio[fd] == STDIO_RELAY && isatty(fd);
		first = tty[fd] ? fd : first;
		/* A file of the host handed in could be truncated, locked and read from its beginning by the guest. */
		if (is_file(fd))
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
	/* The guest's own programs run in nothing less; a program of the host's may, to see what a layer is good for. */
	if (!(a->namespaces & CLONE_NEWNS) && !a->program)
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

/* A program of the host's for the guest: in there it has no path, and is a copy that nobody can write to. */
static int copy_program(struct attach *a)
{
	if (!a->program)
		return 0;
	cleanup_fd int fd = open(a->program, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail("program", "%s", a->program);
	a->program_fd = sealed_copy(fd, "berth-program");
	return a->program_fd < 0 ? -1 : 0;
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
	if (attach_options(a, argc, argv) < 0)
		return -1;
	if (a->script >= 0 && a->program)
		return fail_with(EINVAL, "usage", "--script-fd and --program go one at a time");
	cleanup_fd int rundir = open(a->rundir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rundir < 0)
		return fail("record", errno == ENOENT ? "the guest is not running" : "%s", a->rundir);
	if (find_init(a, rundir) < 0 || read_plan(a, rundir) < 0)
		return -1;
	if (!(a->namespaces & CLONE_NEWUSER) && self_copy((const int[]){a->status_fd, a->script}, argc, argv) < 0)
		return -1;
	if (attach_hide_env(a) < 0)
		return -1;
	if (a->script >= 0 && attach_script(a) < 0)
		return -1;
	if (copy_program(a) < 0 || find_time_namespace(a) < 0 || plan_stdio(a) < 0 || make_pipes(a) < 0)
		return -1;
	for (int fd = 0; fd < 3; fd++)
		if (a->stdio[fd] == STDIO_PASS && open_up_pipe(fd, fd) < 0)
			return fail("stdio", "fd %d", fd);
	a->signals = relay_signals(true);
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

/* Who ends sessions for a checkpoint leaves a mark (src/checkpoint/sessions.ts): their users are told. */
static void tell_ended(const char *rundir, struct timespec since)
{
	char path[PATH_MAX];
	struct stat mark;
	int n = snprintf(path, sizeof path, "%s/sessions-ended", rundir);
	if (n < 0 || (size_t)n >= sizeof path || stat(path, &mark) < 0 || mark.st_mtim.tv_sec < since.tv_sec ||
	    (mark.st_mtim.tv_sec == since.tv_sec && mark.st_mtim.tv_nsec < since.tv_nsec))
		return;
	(void)dprintf(STDERR_FILENO, "berth: the container is written down with what it is doing (suspend, snapshot, checkpoint, migrate): "
				     "this session could not be, and was ended\n");
}

int attach_main(int argc, char **argv)
{
	static struct attach a = {
		.status_fd = -1,
		.script = -1,
		.pidfd = -1,
		.inner = {-1, -1, -1},
		.outer = {-1, -1, -1},
		.terminal = {.fd = -1},
		.signals = -1,
		.channel = {-1, -1},
		.report = {-1, -1},
		.master = -1,
		.slave = -1,
		.program_fd = -1,
	};
	/* The clock that files are stamped by. */
	struct timespec since;
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &since);
	int status = prepare(&a, argc, argv) < 0 ? -1 : run(&a);
	terminal_restore(&a.terminal);
	if (status < 0) {
		complain(a.status_fd);
		return EXIT_FAILED;
	}
	/* 125 to 127 may be the command's own: only a report says that it was never run. */
	if (status >= EXIT_FAILED && status <= EXIT_NOT_FOUND && take_report(&a))
		complain(a.status_fd);
	if (status > 128)
		tell_ended(a.rundir, since);
	return status;
}
