/* view.c - verb `view`: a stopped guest's root, put together as `start` does, for the host to look into. It is a detached
 * mount, reached by /proc/PID/fd/FD until the caller lets go of it, or it is attached in the host's mount namespace. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "caller.h"
#include "fs.h"
#include "loop.h"
#include "userns.h"
#include "util.h"
#include "verbs.h"

struct view {
	struct plan plan;
	const char *at; /* NULL: nowhere */
	struct mount_flags flags;
	int target, host_mnt, rundir, userns;
};

static int parse_options(struct view *v, int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		bool at = strcmp(argv[i], "--at") == 0;
		if ((!at && strcmp(argv[i], "--attributes") != 0) || i + 1 >= argc)
			return fail_with(EINVAL, "usage", "view [--attributes LIST] [--at DIR]");
		if (at)
			v->at = argv[i + 1];
		else if (fs_flags("usage", argv[i + 1], &v->flags) < 0)
			return -1;
	}
	return v->flags.idmap || v->flags.rec ? fail_with(EINVAL, "usage", "not an attribute of a view") : 0;
}

static int read_plan(struct view *v)
{
	const char *why = "";
	if (plan_read(0, &v->plan, &why) < 0)
		return fail("plan", "%s", why);
	const struct plan_record *rundir = plan_find(&v->plan, OP_RUNDIR);
	if (!rundir)
		return fail_with(EINVAL, "plan", "op %d is missing", OP_RUNDIR);
	v->rundir = open(rundir->args[0].data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return v->rundir < 0 ? fail("rundir", "%s", rundir->args[0].data) : 0;
}

/* The place as the host sees it, before this process has mounts of its own. */
static int open_target(struct view *v)
{
	if (!v->at)
		return 0;
	v->target = open(v->at, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return v->target < 0 ? fail("attach", "%s", v->at) : 0;
}

static int make_root(struct view *v)
{
	if (plan_find(&v->plan, OP_IDMAP) && (v->userns = userns_of_plan(&v->plan)) < 0)
		return -1;
	struct scratch scratch = {.fd = -1};
	cleanup_fd int root = fs_root(&v->plan, v->userns, v->rundir, &scratch);
	if (root < 0 || fs_scratch_drop(&scratch) < 0)
		return -1;
	struct mount_attr attr = {.attr_set = v->flags.set};
	if (mount_setattr(root, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
		return fail("attributes", "of the view");
	return take_fd(&root);
}

static int attach_root(const struct view *v, int root)
{
	if (setns(v->host_mnt, CLONE_NEWNS) < 0)
		return fail("attach", "the host's mount namespace");
	return fs_attach("attach", root, v->target, v->at);
}

/* The caller closes its end, or dies. */
static void wait_for_caller(void)
{
	char buf[64];
	ssize_t n;
	do
		n = read(CONTROL_FD, buf, sizeof buf);
	while (n > 0 || (n < 0 && errno == EINTR));
}

/* Once nothing has the mount open, its loop devices go; the next start or view would wait for them otherwise. */
static int release(const struct view *v)
{
	if (loop_release("loop", v->rundir) < 0)
		return -1;
	return unlinkat(v->rundir, "loop", 0) < 0 && errno != ENOENT ? fail("loop", "RUNDIR/loop") : 0;
}

static int show(struct view *v)
{
	cleanup_fd int root = make_root(v);
	if (root < 0 || (v->at && attach_root(v, root) < 0))
		return -1;
	(void)dprintf(STATUS_FD, "ok %d %d\n", (int)getpid(), root);
	if (!v->at)
		wait_for_caller();
	return 0;
}

int view_main(int argc, char **argv)
{
	static struct view v = {.target = -1, .host_mnt = -1, .rundir = -1, .userns = -1};
	if (parse_options(&v, argc, argv) < 0 || caller_leave(v.at ? LOCK_FD : CONTROL_FD) < 0 || read_plan(&v) < 0 ||
	    open_target(&v) < 0 || caller_leave_mounts(&v.host_mnt) < 0)
		return caller_told();
	int shown = show(&v);
	struct failure first = failure;
	int released = shown == 0 && v.at ? 0 : release(&v);
	if (shown < 0)
		failure = first;
	return shown < 0 || released < 0 ? caller_told() : 0;
}
