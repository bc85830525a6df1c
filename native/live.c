/* live.c - verb `mount`: more mounts of the host for a guest that runs. The plan on fd 0 holds RUNDIR, NAMESPACES, what
 * makes the sources (SCRATCH LOOP BIND) and BIND_HOST records; all of these are mounted, or none. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caller.h"
#include "fs.h"
#include "start.h"
#include "sys.h"
#include "util.h"
#include "verbs.h"

enum { MOST = 64 };

struct live {
	struct plan plan;
	int rundir, pidfd, userns, root; /* of the guest; userns -1 without one */
	struct scratch scratch;
	int mounts[MOST];
	unsigned count, next;
};

static int open_of_init(long pid, const char *what, int flags)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%ld/%s", pid, what);
	int fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? fail("record", "%s", path) : fd;
}

static bool has_userns(const struct plan *p)
{
	const struct plan_record *r = plan_find(p, OP_NAMESPACES);
	for (uint16_t i = 0; r && i < r->argc; i++)
		if (strcmp(r->args[i].data, "user") == 0)
			return true;
	return false;
}

/* What is opened by pid is init's if init still is who it was afterwards. */
static int find_guest(struct live *l)
{
	const struct plan_record *rundir = plan_find(&l->plan, OP_RUNDIR);
	char buf[256];
	long pid;
	unsigned long long starttime;
	if (!rundir)
		return fail_with(EINVAL, "plan", "no RUNDIR");
	l->rundir = open(rundir->args[0].data, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l->rundir < 0 || read_file_at(l->rundir, "init", buf, sizeof buf) < 0)
		return fail("record", "%s/init", rundir->args[0].data);
	if (sscanf(buf, "1 %ld %llu ", &pid, &starttime) != 2 || pid < 2)
		return fail_with(EINVAL, "record", "%s/init", rundir->args[0].data);
	l->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (l->pidfd < 0)
		return fail("record", "the guest's init");
	if (has_userns(&l->plan) && (l->userns = open_of_init(pid, "ns/user", O_RDONLY)) < 0)
		return -1;
	if ((l->root = open_of_init(pid, "root", O_PATH | O_DIRECTORY)) < 0)
		return -1;
	return process_starttime((pid_t)pid) == starttime ? 0 : fail_with(ESRCH, "record", "the guest's init has ended");
}

/* Made in a mount namespace of our own, which goes with us. */
static int make_mounts(struct live *l)
{
	cleanup_fd int host = -1;
	if (caller_leave_mounts(&host) < 0)
		return -1;
	if (fs_sources(&l->plan, l->userns, l->rundir, &l->scratch) < 0)
		return -1;
	for (uint32_t i = 0; i < l->plan.count; i++) {
		const struct plan_record *r = &l->plan.records[i];
		if (r->op != OP_BIND_HOST)
			continue;
		if (l->count == MOST)
			return fail_with(E2BIG, "plan", "more than %d mounts", MOST);
		int mnt = fs_bind_host(r, l->userns, &l->scratch);
		if (mnt < 0)
			return -1;
		l->mounts[l->count++] = mnt;
	}
	return 0;
}

static int next_mount(void *arg)
{
	struct live *l = arg;
	int fd = fcntl(l->mounts[l->next++], F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? fail("bind-host", "descriptor") : fd;
}

/* As the guest's root, so that directories made for targets belong to it; in no pid namespace where it could see us. */
static int enter(struct live *l)
{
	if (setns(l->pidfd, (l->userns >= 0 ? CLONE_NEWUSER : 0) | CLONE_NEWNS) < 0)
		return errno == ESRCH ? fail("setns", "the guest's init has ended") : fail("setns", "the guest's namespaces");
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return fail("setns", "becoming the guest's root");
	return 0;
}

/* One that was not attached yet is none of the guest's: EINVAL. */
static void take_back(struct live *l)
{
	struct failure first = failure;
	while (l->next > 0)
		if (fchdir(l->mounts[--l->next]) == 0)
			(void)umount2(".", MNT_DETACH);
	failure = first;
}

static _Noreturn void mount_inside(struct live *l, int report)
{
	struct report r = {.ready = 1};
	if (enter(l) < 0 || fs_guest(&l->plan, l->root, next_mount, l) < 0) {
		take_back(l);
		r = (struct report){.err = failure.err};
		snprintf(r.step, sizeof r.step, "%s", failure.step);
		snprintf(r.text, sizeof r.text, "%s", failure.text);
	}
	_exit(write_all(report, &r, sizeof r) < 0);
}

static int give_mounts(struct live *l)
{
	static struct report r;
	int pair[2], status;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return fail("child", "pipe");
	cleanup_fd int ours = pair[0], theirs = pair[1];
	pid_t pid = fork();
	if (pid == 0)
		mount_inside(l, theirs);
	if (pid < 0)
		return fail("child", "fork");
	close_fd(&theirs);
	ssize_t n = read(ours, &r, sizeof r); /* a pipe gives so little whole or not at all */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail("child", "wait");
	if (n != sizeof r)
		return fail_with(0, "child", "it died before it was done");
	return r.ready ? 0 : fail_with(r.err, r.step, "%s", r.text);
}

int mount_main(int argc, char **argv)
{
	static struct live l = {.rundir = -1, .pidfd = -1, .userns = -1, .root = -1, .scratch = {.fd = -1}};
	const char *why = "";
	(void)argv;
	if (argc != 1)
		(void)fail_with(EINVAL, "plan", "the verb takes no argument");
	else if (plan_read(0, &l.plan, &why) < 0)
		(void)fail("plan", "%s", why);
	else if (caller_leave(LOCK_FD) == 0 && find_guest(&l) == 0 && make_mounts(&l) == 0 && give_mounts(&l) == 0)
		return dprintf(STATUS_FD, "ok 0\n") < 0;
	return caller_told();
}
