/* start.c - verbs `start`: carries out a launch plan, then stays as the keeper; `restore`: the same for a guest that criu
 * brings back (restore.c); and `adopt`: a new keeper for a guest that has lost its own. */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caller.h"
#include "cgroup.h"
#include "clock.h"
#include "confine.h"
#include "fs.h"
#include "keep.h"
#include "loop.h"
#include "net.h"
#include "devpts.h"
#include "restore.h"
#include "selfcopy.h"
#include "sys.h"
#include "userns.h"
#include "util.h"
#include "verbs.h"

struct start {
	struct plan plan;
	uint64_t namespaces; /* CLONE_NEW* */
	struct keeper keeper;
	int sock;   /* to the guest-to-be */
	int userns; /* of the guest, -1 without one */
	struct scratch scratch; /* what mounts are made from, until all are made */
	enum { STARTS, ADOPTS, RESTORES } how; /* ADOPTS: the guest runs already */
	bool hold; /* it ends with the caller */
};

static uint64_t traced; /* 0: off */

void trace(const char *step)
{
	if (traced == 0)
		return;
	uint64_t now = clock_us();
	(void)dprintf(STATUS_FD, "trace %s %llu\n", step, (unsigned long long)(now - traced));
	traced = now;
}

static int leave_caller(struct start *s)
{
	if (caller_leave(s->hold ? CONTROL_FD : LOCK_FD) < 0)
		return -1;
	/* A description of its own: the flock on the one that came in is the caller's too. A guest that is held keeps that
	 * very flock until all of it is gone, also when its caller is killed. */
	s->keeper.lock = s->hold ? fcntl(LOCK_FD, F_DUPFD_CLOEXEC, CONTROL_FD + 1) : open("/proc/self/fd/3", O_RDWR | O_CLOEXEC);
	s->keeper.control = s->hold ? CONTROL_FD : -1;
	return s->keeper.lock < 0 ? fail("lock", "fd %d", LOCK_FD) : 0;
}

static int read_namespaces(struct start *s)
{
	static const struct {
		const char *word;
		uint64_t flag;
	} known[] = {{"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID}, {"mnt", CLONE_NEWNS},	{"uts", CLONE_NEWUTS},
		     {"ipc", CLONE_NEWIPC},   {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP}};
	const struct plan_record *r = plan_find(&s->plan, OP_NAMESPACES);
	for (uint16_t i = 0; r && i < r->argc; i++) {
		uint64_t flag = 0;
		for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
			if (strcmp(known[k].word, r->args[i].data) == 0)
				flag = known[k].flag;
		if (flag == 0)
			return fail_with(EINVAL, "plan", "unknown namespace %s", r->args[i].data);
		s->namespaces |= flag;
	}
	const uint64_t must = CLONE_NEWPID | CLONE_NEWNS;
	if ((s->namespaces & must) != must)
		return fail_with(EINVAL, "plan", "a guest has at least a pid and a mnt namespace");
	if (!(s->namespaces & CLONE_NEWNET) && net_wanted(&s->plan))
		return fail_with(EINVAL, "plan", "links and addresses without a net namespace");
	return 0;
}

static int read_plan(struct start *s)
{
	const char *why = "";
	if (plan_read(0, &s->plan, &why) < 0)
		return fail("plan", "%s", why);
	if (plan_find(&s->plan, OP_TRACE))
		traced = clock_us();
	static const enum plan_op must[] = {OP_NAME, OP_NAMESPACES, OP_INIT, OP_RUNDIR};
	for (size_t i = 0; i < sizeof must / sizeof must[0]; i++)
		if (!plan_find(&s->plan, must[i]) && !(s->hold && must[i] == OP_INIT))
			return fail_with(EINVAL, "plan", "op %d is missing", (int)must[i]);
	return read_namespaces(s);
}

/* The effective user of whoever makes a user namespace owns it. All capabilities stay, and the real user does too. */
static int act_as(uid_t uid)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];
	if (setresuid((uid_t)-1, uid, (uid_t)-1) < 0 || syscall(SYS_capget, &head, sets) < 0)
		return -1;
	sets[0].effective = sets[0].permitted;
	sets[1].effective = sets[1].permitted;
	return (int)syscall(SYS_capset, &head, sets);
}

/* What a guest uses of the kernel's counted things (inotify, fanotify, namespaces) is charged to the owner of its user
 * namespace as well. That is its own root as the host knows it: owned by the host's root, all guests and the host would
 * share one account, which any guest could empty. */
static int own_namespace(const struct start *s, uid_t *owner)
{
	uint64_t first;
	*owner = 0;
	for (uint32_t i = 0; s->namespaces & CLONE_NEWUSER && i < s->plan.count; i++) {
		const struct plan_record *r = &s->plan.records[i];
		if (r->op != OP_IDMAP || strcmp(r->args[0].data, "u") != 0)
			continue;
		if (!plan_u64(&r->args[2], UINT32_MAX - 1, &first))
			return fail_with(EINVAL, "idmap", "%s", r->args[2].data);
		*owner = (uid_t)first;
		return 0;
	}
	return 0;
}

static pid_t clone_owned_by(uid_t owner, struct clone_args *args, const struct plan *p, uint64_t namespaces, int sock)
{
	pid_t caller = getppid();
	if (owner != 0 && act_as(owner) < 0)
		return fail("clone", "acting as user %u", owner);
	pid_t pid = sys_clone3(args);
	if (pid == 0)
		child_main(p, namespaces, sock);
	if (pid < 0)
		(void)fail("clone", "clone3");
	if (owner == 0)
		return pid;
	/* A change of users makes the kernel forget on whom this process's life hangs. */
	if (act_as(0) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != caller)
		_exit(1);
	return pid;
}

/* Into the guest's cgroups, clone, and out of them at once: the rules for the guest are not for the keeper. */
static int clone_child(struct start *s)
{
	int pair[2], cgroup = -1, pidfd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail("clone", "socketpair");
	s->sock = pair[0];
	cleanup_fd int theirs = pair[1];
	int joined = cgroup_join(&s->plan, &cgroup);
	cleanup_fd int v2 = cgroup;
	if (joined < 0) {
		struct failure first = failure;
		(void)cgroup_leave(&s->plan);
		failure = first;
		return -1;
	}
	struct clone_args args = {
		.flags = (s->namespaces & ~(uint64_t)CLONE_NEWCGROUP) | CLONE_PIDFD | (v2 >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = v2 >= 0 ? (uint64_t)v2 : 0,
	};
	uid_t owner;
	pid_t pid = own_namespace(s, &owner) < 0 ? -1 : clone_owned_by(owner, &args, &s->plan, s->namespaces, theirs);
	if (pid < 0) {
		struct failure first = failure;
		(void)cgroup_leave(&s->plan);
		failure = first;
		return -1;
	}
	s->keeper.pid = pid;
	s->keeper.pidfd = pidfd;
	return cgroup_leave(&s->plan);
}

static int open_namespace(pid_t pid, const char *which)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, which);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? fail("clone", "%s namespace", which) : fd;
}

static int give_ids(struct start *s)
{
	if (!(s->namespaces & CLONE_NEWUSER))
		return 0;
	if (userns_map(&s->plan, s->keeper.pid) < 0)
		return -1;
	s->userns = open_namespace(s->keeper.pid, "user");
	return s->userns < 0 ? -1 : 0;
}

static int give_links(struct start *s)
{
	if (!plan_find(&s->plan, OP_VETH))
		return 0;
	cleanup_fd int netns = open_namespace(s->keeper.pid, "net");
	return netns < 0 ? -1 : net_links(&s->plan, netns);
}


/* 1: it said ready. 0: end of file, it has exec'd. -1: after fail() with what it reported. */
static int hear(struct start *s)
{
	static char step[sizeof((struct report *)0)->step];
	struct report r;
	ssize_t n;
	do
		n = recv(s->sock, &r, sizeof r, 0);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n != sizeof r)
		return fail("child", "no report");
	if (r.ready)
		return 1;
	memcpy(step, r.step, sizeof step);
	step[sizeof step - 1] = '\0';
	return fail_with(r.err, step, "%.*s", (int)sizeof r.text - 1, r.text);
}

/* A child that goes without a word says at least how it died. */
static int silent_death(struct start *s)
{
	siginfo_t info = {0};
	if (waitid(P_PIDFD, (id_t)s->keeper.pidfd, &info, WEXITED | WNOWAIT) < 0)
		return fail("child", "it died");
	return fail_with(0, "child", "it died before it was ready (%s %d)", info.si_code == CLD_EXITED ? "exit status" : "signal",
			 info.si_status);
}

/* The child does not listen any more: its last words are why. */
static int child_gone(struct start *s)
{
	return hear(s) < 0 ? -1 : silent_death(s);
}

static int say_go(struct start *s)
{
	return send(s->sock, "g", 1, MSG_NOSIGNAL) == 1 ? 0 : child_gone(s);
}

/* A mount of the host for a BIND_HOST or BIND_CONSOLE record. */
static int make_bind(struct start *s, const struct plan_record *r)
{
	static const struct mount_flags none;
	if (r->op == OP_BIND_HOST)
		return fs_bind_host(r, s->userns, &s->scratch);
	if (s->keeper.pty.master < 0)
		return fail_with(EINVAL, "bind-console", "the plan has no console");
	return fs_clone("bind-console", AT_FDCWD, DEVPTS_DIR, &none, -1);
}

static int give_root(struct start *s)
{
	cleanup_fd int root = fs_root(&s->plan, s->userns, s->keeper.rundir, &s->scratch);
	if (root < 0)
		return -1;
	trace("root");
	if (fs_nodes(&s->plan, root) < 0)
		return -1;
	trace("nodes");
	return send_fd(s->sock, root) < 0 ? child_gone(s) : 0;
}

static int give_binds(struct start *s)
{
	for (uint32_t i = 0; i < s->plan.count; i++) {
		const struct plan_record *r = &s->plan.records[i];
		if (r->op != OP_BIND_HOST && r->op != OP_BIND_CONSOLE)
			continue;
		cleanup_fd int mnt = make_bind(s, r);
		if (mnt < 0)
			return -1;
		if (send_fd(s->sock, mnt) < 0)
			return child_gone(s);
	}
	return fs_scratch_drop(&s->scratch);
}

static int let_go(struct start *s)
{
	int heard = hear(s);
	if (heard <= 0)
		return heard < 0 ? -1 : silent_death(s);
	trace("child");
	if (keeper_record(&s->keeper) < 0 || say_go(s) < 0)
		return -1;
	heard = hear(s);
	if (heard > 0)
		return fail_with(EPROTO, "child", "it said ready twice");
	trace("exec");
	return heard;
}

static int start_guest(struct start *s)
{
	if (caller_leave_mounts(&s->keeper.host_mnt) < 0)
		return -1;
	trace("setup");
	if (keeper_prepare(&s->keeper, &s->plan) < 0 || devpts_make(&s->plan, &s->keeper.pty) < 0)
		return -1;
	trace("console");
	if (clone_child(s) < 0)
		return -1;
	trace("clone");
	if (give_ids(s) < 0 || confine_limits(&s->plan, s->keeper.pid) < 0 || cgroup_devices(&s->plan) < 0)
		return -1;
	trace("limits");
	if (give_links(s) < 0)
		return -1;
	trace("links");
	if (say_go(s) < 0 || give_root(s) < 0 || give_binds(s) < 0)
		return -1;
	trace("binds");
	return let_go(s);
}

/* A guest whose keeper died lives on. Its console is lost with the old keeper's pty, and its exit status is not ours to
 * wait for; all else of a keeper's work can be taken up. */
static int adopt_guest(struct start *s)
{
	struct keeper *k = &s->keeper;
	char buf[256];
	long pid;
	unsigned long long starttime;
	k->host_mnt = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (k->host_mnt < 0 || cgroup_leave(&s->plan) < 0)
		return k->host_mnt < 0 ? fail("mount-namespace", "own") : -1;
	if (keeper_prepare(k, &s->plan) < 0)
		return -1;
	if (read_file_at(k->rundir, "init", buf, sizeof buf) < 0)
		return fail("adopt", "RUNDIR/init");
	if (sscanf(buf, "1 %ld %llu ", &pid, &starttime) != 2 || pid < 2)
		return fail_with(EINVAL, "adopt", "RUNDIR/init");
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (pidfd < 0)
		return fail("adopt", "the guest's init");
	/* The pidfd first, then the look: so it is this process that the record means. */
	if (process_starttime((pid_t)pid) != starttime)
		return fail_with(ESRCH, "adopt", "the guest's init");
	k->pid = (pid_t)pid;
	k->pidfd = pidfd;
	return keeper_record(k);
}

/* The child took its namespaces, and with them mounts and links, when it has been reaped. */
static void undo(struct start *s)
{
	if (s->how == ADOPTS) {
		if (s->keeper.listen >= 0)
			(void)unlinkat(s->keeper.rundir, "keeper.sock", 0);
		return;
	}
	if (s->keeper.pid > 0) {
		siginfo_t info;
		(void)sys_pidfd_send_signal(s->keeper.pidfd, SIGKILL);
		while (waitid(P_PIDFD, (id_t)s->keeper.pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
	}
	if (s->keeper.rundir < 0)
		return;
	struct failure first = failure;
	if (loop_release("loop", s->keeper.rundir) == 0)
		(void)unlinkat(s->keeper.rundir, "loop", 0);
	failure = first;
	if (s->keeper.pid > 0)
		(void)unlinkat(s->keeper.rundir, "init", 0);
	if (s->keeper.listen >= 0)
		(void)unlinkat(s->keeper.rundir, "keeper.sock", 0);
}

/* A process that is cloned into a v2 cgroup gets there for nothing; moving one costs an RCU grace period, 15 ms in
 * which nobody on the host can fork (cgroup_threadgroup_rwsem). So the keeper is born in its cgroup, as a child of the
 * process that was called, which waits for the decision. In the child *decided is an fd to tell it. */
static pid_t fork_keeper(struct start *s, int *decided)
{
	int pair[2];
	cleanup_fd int cgroup = -1;
	if (cgroup_keeper_v2(&s->plan, &cgroup) < 0)
		return -1;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return fail("keeper", "pipe");
	struct clone_args args = {
		.flags = cgroup >= 0 ? CLONE_INTO_CGROUP : 0,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
	};
	pid_t caller = getpid(), pid = sys_clone3(&args);
	if (pid < 0)
		(void)fail(cgroup >= 0 ? "cgroup-keeper" : "keeper", "clone3");
	*decided = pair[pid == 0];
	close(pair[pid != 0]);
	if (pid < 0)
		close_fd(decided);
	/* Until the decision the keeper's life hangs on the caller's. */
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != caller))
		_exit(1);
	return pid;
}

/* In the process that was called: 0 when the guest runs, or when one that is held has gone; 1 when the keeper has printed an
 * error. */
static int wait_for_decision(pid_t keeper, int decided, bool hold)
{
	char byte;
	ssize_t n;
	int status;
	do
		n = read(decided, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1 && !hold)
		return 0;
	while (waitpid(keeper, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	if (n == 1 || WIFEXITED(status))
		return n != 1;
	(void)fail_with(0, "keeper", "it was killed by signal %d", WTERMSIG(status));
	return caller_told();
}

static int make_guest(struct start *s)
{
	return s->how == ADOPTS ? adopt_guest(s) : s->how == RESTORES ? restore_guest(&s->plan, &s->keeper) : start_guest(s);
}

static _Noreturn void become_keeper(struct start *s, int decided)
{
	if (setsid() < 0) {
		(void)fail("keeper", "setsid");
		_exit(caller_told());
	}
	if (make_guest(s) < 0) {
		undo(s);
		_exit(caller_told());
	}
	(void)prctl(PR_SET_PDEATHSIG, 0);
	(void)dprintf(STATUS_FD, "ok %d\n", (int)s->keeper.pid);
	(void)write_all(decided, "k", 1); /* SIGPIPE is ignored: a caller that is gone need not know */
	close(decided);
	close_fd(&s->sock);
	close_fd(&s->userns);
	plan_free(&s->plan);
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	close(LOCK_FD);
	close_fd(&null);
	keeper_run(&s->keeper);
}

static int keep_main(int argc, char **argv, int how)
{
	static struct start s = {.keeper = KEEPER_INIT, .sock = -1, .userns = -1, .scratch = {.fd = -1}};
	int decided = -1;
	bool sealed = false, known = true, may_hold = how == STARTS;
	s.how = how;
	for (int i = 1; i < argc; i++) {
		bool seal = strcmp(argv[i], "--sealed") == 0, hold = may_hold && strcmp(argv[i], "--hold") == 0;
		sealed = sealed || seal;
		s.hold = s.hold || hold;
		known = known && (seal || hold);
	}
	if (!known) {
		(void)fail_with(EINVAL, "plan", "the verb takes no argument but --sealed%s", may_hold ? " and --hold" : "");
		return caller_told();
	}
	/* The copy reads the plan, and makes the lock its own again. */
	if (leave_caller(&s) < 0 || (sealed && self_copy((const int[]){LOCK_FD, s.hold ? CONTROL_FD : -1}, argc, argv) < 0) || read_plan(&s) < 0)
		return caller_told();
	pid_t pid = fork_keeper(&s, &decided);
	if (pid < 0)
		return caller_told();
	if (pid == 0)
		become_keeper(&s, decided);
	return wait_for_decision(pid, decided, s.hold);
}

int start_main(int argc, char **argv)
{
	return keep_main(argc, argv, STARTS);
}

int adopt_main(int argc, char **argv)
{
	return keep_main(argc, argv, ADOPTS);
}

int restore_main(int argc, char **argv)
{
	return keep_main(argc, argv, RESTORES);
}
