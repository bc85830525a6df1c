/* restore.c - verb `restore`: the root, console, cgroups and links of a start, and criu in between. */
#include "restore.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caller.h"
#include "cgroup.h"
#include "criu.h"
#include "fs.h"
#include "net.h"
#include "start.h"
#include "sys.h"
#include "userns.h"
#include "util.h"

/* The guest's root at the scratch directory, where criu is told to look for it. Seen in our mount namespace alone. */
static int show_root(const struct plan *p, const struct keeper *k)
{
	cleanup_fd int userns = -1;
	const struct plan_record *scratch = plan_find(p, OP_SCRATCH);
	if (!scratch)
		return fail_with(EINVAL, "plan", "op %d is missing", OP_SCRATCH);
	if (plan_find(p, OP_IDMAP) && (userns = userns_of_plan(p)) < 0)
		return -1;
	struct scratch made = {.fd = -1};
	cleanup_fd int root = fs_root(p, userns, k->rundir, &made);
	/* What came from another host has no device nodes: no archive has any. */
	if (root < 0 || fs_scratch_drop(&made) < 0 || fs_nodes(p, root) < 0)
		return -1;
	cleanup_fd int target = open(scratch->args[0].data, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return target < 0 ? fail("root", "%s", scratch->args[0].data) : fs_attach("root", root, target, scratch->args[0].data);
}

static int hide_root(const struct plan *p)
{
	const char *at = plan_find(p, OP_SCRATCH)->args[0].data;
	return umount2(at, MNT_DETACH) < 0 ? fail("root", "%s: unmount", at) : 0;
}

/* In a process of its own, inside the guest's network namespace. */
static int give_addresses(const struct plan *p, int netns)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	int status;
	pid_t pid = sys_clone3(&args);
	if (pid == 0) {
		bool good = setns(netns, CLONE_NEWNET) == 0 && net_guest(p) == 0;
		if (!good)
			(void)dprintf(STATUS_FD, "trace %s:%s %d\n", failure.step, failure.text, failure.err);
		_exit(good ? 0 : 1);
	}
	if (pid < 0)
		return fail("address", "clone3");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail("address", "waitpid");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : fail_with(0, "address", "the guest's network cannot be made");
}

static int give_network(const struct plan *p, pid_t pid)
{
	char path[64];
	if (!net_wanted(p))
		return 0;
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	cleanup_fd int netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return fail("veth", "network namespace of process %d", (int)pid);
	return net_links(p, netns) < 0 ? -1 : give_addresses(p, netns);
}

/* On v2 a cgroup with controllers switched on takes no process: they are switched on once init is where it belongs. */
static int write_cgroups(const struct plan *p)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const struct plan_record *r = &p->records[i];
		if (r->op == OP_CGROUP_WRITE && write_file_at(AT_FDCWD, r->args[0].data, r->args[1].data) < 0)
			return fail("cgroup-write", "%s: %s", r->args[0].data, r->args[1].data);
	}
	return 0;
}

struct restore {
	const struct plan *plan;
	struct keeper *keeper;
	struct plan rest; /* what comes with the images */
	bool shown;       /* the root */
};

static int at_point(void *arg, const struct criu_message *m)
{
	struct restore *r = arg;
	trace(m->script);
	if (strcmp(m->script, "setup-namespaces") == 0)
		return give_network(r->plan, m->pid);
	if (strcmp(m->script, "post-setup-namespaces") != 0)
		return 0;
	return write_cgroups(r->plan) < 0 ? -1 : write_cgroups(&r->rest);
}

/* Images on their way: criu waits for the first, which is a pipe. The caller says when all are there; what only they
 * tell of the plan is in RUNDIR/rest. A caller that is gone does not want it. */
static int await_images(struct restore *r)
{
	const char *why = "";
	char byte = 'n';
	ssize_t n;
	trace("waiting");
	do
		n = read(r->keeper->control, &byte, 1);
	while (n < 0 && errno == EINTR);
	close_fd(&r->keeper->control);
	if (n != 1 || byte != 'y')
		return fail_with(ECANCELED, "criu", "the caller took it back");
	cleanup_fd int rest = openat(r->keeper->rundir, "rest", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (rest < 0)
		return fail("plan", "RUNDIR/rest");
	trace("go");
	return plan_read(rest, &r->rest, &why) < 0 ? fail("plan", "%s", why) : 0;
}

static int run_criu(struct restore *r, struct criu *c, struct criu_message *verdict)
{
	const struct plan *p = r->plan;
	static char *argv[PLAN_MAX_ARGS + 1];
	const struct plan_record *program = plan_find(p, OP_CRIU), *request = plan_find(p, OP_CRIU_REQUEST);
	const struct plan_record *cgroup = plan_find(p, OP_CRIU_CGROUP);
	if (!program || !request)
		return fail_with(EINVAL, "plan", "op %d or %d is missing", OP_CRIU, OP_CRIU_REQUEST);
	for (uint16_t i = 0; i < program->argc; i++)
		argv[i] = (char *)(uintptr_t)program->args[i].data;
	cleanup_fd int dir = -1;
	if (cgroup && (dir = open(cgroup->args[0].data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return fail("criu", "%s", cgroup->args[0].data);
	if (criu_spawn(c, argv, dir, r->keeper->pty.slave) < 0 || criu_ask(c, &request->args[0]) < 0)
		return -1;
	if (r->keeper->control >= 0 && await_images(r) < 0)
		return -1;
	/* While criu reads its images: it looks for the root behind its first point, and waits there for an answer. */
	if (show_root(p, r->keeper) < 0)
		return -1;
	r->shown = true;
	trace("root");
	return criu_serve(c, at_point, r, verdict);
}

/* criu forks the guest's init as its sibling: it is our child, as after a start. */
static int take_guest(struct keeper *k, pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return fail("criu", "the restored init, process %d", (int)pid);
	k->pid = pid;
	k->pidfd = pidfd;
	return keeper_record(k);
}

int restore_guest(const struct plan *p, struct keeper *k)
{
	struct criu c = CRIU_INIT;
	struct criu_message verdict;
	struct restore r = {.plan = p, .keeper = k};
	if (caller_leave_mounts(&k->host_mnt) < 0 || cgroup_leave(p) < 0)
		return -1;
	if (keeper_prepare(k, p) < 0 || devpts_make(p, &k->pty) < 0 || cgroup_devices(p) < 0)
		return -1;
	int result = run_criu(&r, &c, &verdict);
	if (result == 0)
		result = take_guest(k, verdict.pid);
	struct failure first = failure;
	criu_end(&c);
	if (!r.shown || hide_root(p) == 0)
		failure = first;
	plan_free(&r.rest);
	return result;
}
