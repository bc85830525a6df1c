/* guest.c - a guest is made, step by step as its plan says, or taken over from a keeper that died; and taken back. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caller.h"
#include "cgroup.h"
#include "confine.h"
#include "devpts.h"
#include "loop.h"
#include "net.h"
#include "start.h"
#include "sys.h"
#include "userns.h"
#include "util.h"

static int open_namespace(pid_t pid, const char *which)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, which);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? fail("clone", "%s namespace", which) : fd;
}

static int give_ids(struct guest *g)
{
	if (!(g->namespaces & CLONE_NEWUSER))
		return 0;
	if (userns_map(&g->plan, g->keeper.pid) < 0)
		return -1;
	g->userns = open_namespace(g->keeper.pid, "user");
	return g->userns < 0 ? -1 : 0;
}

static int give_links(struct guest *g)
{
	if (!plan_find(&g->plan, OP_VETH))
		return 0;
	cleanup_fd int netns = open_namespace(g->keeper.pid, "net");
	return netns < 0 ? -1 : net_links(&g->plan, netns);
}

/* 1: it said ready. 0: end of file, it has exec'd. -1: after fail() with what it reported. */
static int hear(struct guest *g)
{
	static char step[sizeof((struct report *)0)->step];
	struct report r;
	ssize_t n;
	do
		n = recv(g->sock, &r, sizeof r, 0);
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
static int silent_death(struct guest *g)
{
	siginfo_t info = {0};
	if (waitid(P_PIDFD, (id_t)g->keeper.pidfd, &info, WEXITED | WNOWAIT) < 0)
		return fail("child", "it died");
	return fail_with(0, "child", "it died before it was ready (%s %d)", info.si_code == CLD_EXITED ? "exit status" : "signal",
			 info.si_status);
}

/* The child does not listen any more: its last words are why. */
static int child_gone(struct guest *g)
{
	return hear(g) < 0 ? -1 : silent_death(g);
}

static int say_go(struct guest *g)
{
	return send(g->sock, "g", 1, MSG_NOSIGNAL) == 1 ? 0 : child_gone(g);
}

/* A mount of the host for a BIND_HOST or BIND_CONSOLE record. */
static int make_bind(struct guest *g, const struct plan_record *r)
{
	static const struct mount_flags none;
	if (r->op == OP_BIND_HOST)
		return fs_bind_host(r, g->userns, &g->scratch);
	if (g->keeper.pty.master < 0)
		return fail_with(EINVAL, "bind-console", "the plan has no console");
	return fs_clone("bind-console", AT_FDCWD, DEVPTS_DIR, &none, -1);
}

static int give_root(struct guest *g)
{
	cleanup_fd int root = fs_root(&g->plan, g->userns, g->keeper.rundir, &g->scratch);
	if (root < 0)
		return -1;
	trace("root");
	if (fs_nodes(&g->plan, root) < 0)
		return -1;
	trace("nodes");
	return send_fd(g->sock, root) < 0 ? child_gone(g) : 0;
}

static int give_binds(struct guest *g)
{
	for (uint32_t i = 0; i < g->plan.count; i++) {
		const struct plan_record *r = &g->plan.records[i];
		if (r->op != OP_BIND_HOST && r->op != OP_BIND_CONSOLE)
			continue;
		cleanup_fd int mnt = make_bind(g, r);
		if (mnt < 0)
			return -1;
		if (send_fd(g->sock, mnt) < 0)
			return child_gone(g);
	}
	return fs_scratch_drop(&g->scratch);
}

static int let_go(struct guest *g)
{
	int heard = hear(g);
	if (heard <= 0)
		return heard < 0 ? -1 : silent_death(g);
	trace("child");
	if (keeper_record(&g->keeper) < 0 || say_go(g) < 0)
		return -1;
	heard = hear(g);
	if (heard > 0)
		return fail_with(EPROTO, "child", "it said ready twice");
	trace("exec");
	return heard;
}

int guest_start(struct guest *g)
{
	if (caller_leave_mounts(&g->keeper.host_mnt) < 0)
		return -1;
	trace("setup");
	if (keeper_prepare(&g->keeper, &g->plan) < 0 || devpts_make(&g->plan, &g->keeper.pty) < 0)
		return -1;
	trace("console");
	if (guest_clone(g) < 0)
		return -1;
	trace("clone");
	if (give_ids(g) < 0 || confine_limits(&g->plan, g->keeper.pid) < 0 || cgroup_devices(&g->plan) < 0)
		return -1;
	trace("limits");
	if (give_links(g) < 0)
		return -1;
	trace("links");
	if (say_go(g) < 0 || give_root(g) < 0 || give_binds(g) < 0)
		return -1;
	trace("binds");
	return let_go(g);
}

/* A guest whose keeper died lives on. Its console is lost with the old keeper's pty, and its exit status is not ours to
 * wait for; all else of a keeper's work can be taken up. */
int guest_adopt(struct guest *g)
{
	struct keeper *k = &g->keeper;
	char buf[256];
	long pid;
	unsigned long long starttime;
	k->host_mnt = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (k->host_mnt < 0 || cgroup_leave(&g->plan) < 0)
		return k->host_mnt < 0 ? fail("mount-namespace", "own") : -1;
	if (keeper_prepare(k, &g->plan) < 0)
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

void guest_disown(struct guest *g)
{
	if (g->keeper.listen >= 0)
		(void)unlinkat(g->keeper.rundir, "keeper.sock", 0);
}

/* The child took its namespaces, and with them mounts and links, when it has been reaped. */
void guest_undo(struct guest *g)
{
	if (g->keeper.pid > 0) {
		siginfo_t info;
		(void)sys_pidfd_send_signal(g->keeper.pidfd, SIGKILL);
		while (waitid(P_PIDFD, (id_t)g->keeper.pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
	}
	if (g->keeper.rundir < 0)
		return;
	struct failure first = failure;
	if (loop_release("loop", g->keeper.rundir) == 0)
		(void)unlinkat(g->keeper.rundir, "loop", 0);
	failure = first;
	if (g->keeper.pid > 0)
		(void)unlinkat(g->keeper.rundir, "init", 0);
	guest_disown(g);
}
