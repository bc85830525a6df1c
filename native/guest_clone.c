/* guest_clone.c - the guest-to-be is cloned: which namespaces, whose they are, in which cgroups. */
#include "guest.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cgroup.h"
#include "net.h"
#include "start.h"
#include "sys.h"
#include "util.h"

int guest_namespaces(struct guest *g)
{
	static const struct {
		const char *word;
		uint64_t flag;
	} known[] = {{"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID}, {"mnt", CLONE_NEWNS},	{"uts", CLONE_NEWUTS},
		     {"ipc", CLONE_NEWIPC},   {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP}};
	const struct plan_record *r = plan_find(&g->plan, OP_NAMESPACES);
	for (uint16_t i = 0; r && i < r->argc; i++) {
		uint64_t flag = 0;
		for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
			if (strcmp(known[k].word, r->args[i].data) == 0)
				flag = known[k].flag;
		if (flag == 0)
			return fail_with(EINVAL, "plan", "unknown namespace %s", r->args[i].data);
		g->namespaces |= flag;
	}
	const uint64_t must = CLONE_NEWPID | CLONE_NEWNS;
	if ((g->namespaces & must) != must)
		return fail_with(EINVAL, "plan", "a guest has at least a pid and a mnt namespace");
	if (!(g->namespaces & CLONE_NEWNET) && net_wanted(&g->plan))
		return fail_with(EINVAL, "plan", "links and addresses without a net namespace");
	return 0;
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
static int own_namespace(const struct guest *g, uid_t *owner)
{
	uint64_t first;
	*owner = 0;
	for (uint32_t i = 0; g->namespaces & CLONE_NEWUSER && i < g->plan.count; i++) {
		const struct plan_record *r = &g->plan.records[i];
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
int guest_clone(struct guest *g)
{
	int pair[2], cgroup = -1, pidfd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail("clone", "socketpair");
	g->sock = pair[0];
	cleanup_fd int theirs = pair[1];
	int joined = cgroup_join(&g->plan, &cgroup);
	cleanup_fd int v2 = cgroup;
	if (joined < 0) {
		struct failure first = failure;
		(void)cgroup_leave(&g->plan);
		failure = first;
		return -1;
	}
	struct clone_args args = {
		.flags = (g->namespaces & ~(uint64_t)CLONE_NEWCGROUP) | CLONE_PIDFD | (v2 >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = v2 >= 0 ? (uint64_t)v2 : 0,
	};
	uid_t owner;
	pid_t pid = own_namespace(g, &owner) < 0 ? -1 : clone_owned_by(owner, &args, &g->plan, g->namespaces, theirs);
	if (pid < 0) {
		struct failure first = failure;
		(void)cgroup_leave(&g->plan);
		failure = first;
		return -1;
	}
	g->keeper.pid = pid;
	g->keeper.pidfd = pidfd;
	return cgroup_leave(&g->plan);
}
