/* start.c - verbs `start`: carries out a launch plan, then stays as the keeper; `restore`: the same for a guest that criu
 * brings back (restore.c); and `adopt`: a new keeper for a guest that has lost its own. */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caller.h"
#include "cgroup.h"
#include "clock.h"
#include "guest.h"
#include "restore.h"
#include "selfcopy.h"
#include "sys.h"
#include "util.h"
#include "verbs.h"

/* What a verb does once the keeper is there, and what takes it back. */
struct way {
	int (*make)(struct guest *g);
	void (*undo)(struct guest *g);
	bool may_hold;  /* it may end with the caller */
	bool may_await; /* the caller may have the rest of the plan later */
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

static int leave_caller(struct keeper *k, bool hold, bool await)
{
	if (caller_leave(hold || await ? CONTROL_FD : LOCK_FD) < 0)
		return -1;
	/* A description of its own: the flock on the one that came in is the caller's too. A guest that is held keeps that
	 * very flock until all of it is gone, also when its caller is killed. */
	k->lock = hold ? fcntl(LOCK_FD, F_DUPFD_CLOEXEC, CONTROL_FD + 1) : open("/proc/self/fd/3", O_RDWR | O_CLOEXEC);
	k->control = hold || await ? CONTROL_FD : -1;
	return k->lock < 0 ? fail("lock", "fd %d", LOCK_FD) : 0;
}

static int read_plan(struct guest *g, bool hold)
{
	const char *why = "";
	if (plan_read(0, &g->plan, &why) < 0)
		return fail("plan", "%s", why);
	if (plan_find(&g->plan, OP_TRACE))
		traced = clock_us();
	static const enum plan_op must[] = {OP_NAME, OP_NAMESPACES, OP_INIT, OP_RUNDIR};
	for (size_t i = 0; i < sizeof must / sizeof must[0]; i++)
		if (!plan_find(&g->plan, must[i]) && !(hold && must[i] == OP_INIT))
			return fail_with(EINVAL, "plan", "op %d is missing", (int)must[i]);
	return guest_namespaces(g);
}

/* A process that is cloned into a v2 cgroup gets there for nothing; moving one costs an RCU grace period, 15 ms in
 * which nobody on the host can fork (cgroup_threadgroup_rwsem). So the keeper is born in its cgroup, as a child of the
 * process that was called, which waits for the decision. In the child *decided is an fd to tell it. */
static pid_t fork_keeper(const struct plan *p, int *decided)
{
	int pair[2];
	cleanup_fd int cgroup = -1;
	if (cgroup_keeper_v2(p, &cgroup) < 0)
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

static _Noreturn void become_keeper(const struct way *way, struct guest *g, int decided)
{
	if (setsid() < 0) {
		(void)fail("keeper", "setsid");
		_exit(caller_told());
	}
	if (way->make(g) < 0) {
		way->undo(g);
		_exit(caller_told());
	}
	(void)prctl(PR_SET_PDEATHSIG, 0);
	(void)dprintf(STATUS_FD, "ok %d\n", (int)g->keeper.pid);
	(void)write_all(decided, "k", 1); /* SIGPIPE is ignored: a caller that is gone need not know */
	close(decided);
	close_fd(&g->sock);
	close_fd(&g->userns);
	plan_free(&g->plan);
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	close(LOCK_FD);
	close_fd(&null);
	keeper_run(&g->keeper);
}

static int keep_main(int argc, char **argv, const struct way *way)
{
	static struct guest g = GUEST_INIT;
	int decided = -1;
	bool sealed = false, hold = false, await = false, known = true;
	for (int i = 1; i < argc; i++) {
		bool seal = strcmp(argv[i], "--sealed") == 0, held = way->may_hold && strcmp(argv[i], "--hold") == 0;
		bool awaits = way->may_await && strcmp(argv[i], "--await") == 0;
		sealed = sealed || seal;
		hold = hold || held;
		await = await || awaits;
		known = known && (seal || held || awaits);
	}
	if (!known) {
		(void)fail_with(EINVAL, "plan", "the verb takes no argument but --sealed%s",
				way->may_hold ? " and --hold" : way->may_await ? " and --await" : "");
		return caller_told();
	}
	/* The copy reads the plan, and makes the lock its own again. */
	if (leave_caller(&g.keeper, hold, await) < 0 ||
	    (sealed && self_copy((const int[]){LOCK_FD, hold || await ? CONTROL_FD : -1}, argc, argv) < 0) || read_plan(&g, hold) < 0)
		return caller_told();
	pid_t pid = fork_keeper(&g.plan, &decided);
	if (pid < 0)
		return caller_told();
	if (pid == 0)
		become_keeper(way, &g, decided);
	return wait_for_decision(pid, decided, hold);
}

int start_main(int argc, char **argv)
{
	static const struct way starts = {.make = guest_start, .undo = guest_undo, .may_hold = true};
	return keep_main(argc, argv, &starts);
}

int adopt_main(int argc, char **argv)
{
	static const struct way adopts = {.make = guest_adopt, .undo = guest_disown};
	return keep_main(argc, argv, &adopts);
}

static int restore(struct guest *g)
{
	return restore_guest(&g->plan, &g->keeper);
}

int restore_main(int argc, char **argv)
{
	static const struct way restores = {.make = restore, .undo = guest_undo, .may_await = true};
	return keep_main(argc, argv, &restores);
}
