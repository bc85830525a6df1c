/* front_guest.c - a container's lock, and what its guest does. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "front.h"
#include "plan.h"
#include "util.h"

enum { LOOKS = 20, LOOK_MS = 1 };

/* The file goes with its container: what was locked must still be what others will open. */
static bool is_current(int fd, const char *path)
{
	struct stat held, there;
	return fstat(fd, &held) == 0 && stat(path, &there) == 0 && held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

/* A keeper whose guest has ended holds it for a moment: less than berth-cli takes to begin. */
static bool lock_soon(int fd)
{
	for (int i = 0; i < LOOKS; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		sleep_ms(LOOK_MS);
	}
	return false;
}

int front_lock(const struct front_paths *p, const char *name, const char *command)
{
	char dir[PATH_MAX], path[PATH_MAX];
	if (!front_join(dir, p->run, ".lock") || !front_join(path, dir, name))
		return -1;
	cleanup_fd int fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !lock_soon(fd) || !is_current(fd, path) || ftruncate(fd, 0) < 0 ||
	    dprintf(fd, "process %d (%s)\n", (int)getpid(), command) < 0)
		return -1;
	return take_fd(&fd);
}

bool front_find_guest(const char *rundir, const char *boot, struct front_guest *g)
{
	char path[PATH_MAX], text[256], recorded[64];
	int keeper;
	uint64_t keeper_ticks;
	*g = (struct front_guest){0};
	if (!front_join(path, rundir, "init"))
		return false;
	if (read_file_at(AT_FDCWD, path, text, sizeof text) < 0)
		return true;
	if (sscanf(text, "1 %d %" SCNu64 " %d %" SCNu64 " %63s", &g->pid, &g->ticks, &keeper, &keeper_ticks, recorded) != 5)
		return false;
	size_t length = strlen(recorded);
	g->running = strncmp(boot, recorded, length) == 0 && (boot[length] == '\0' || boot[length] == '\n') &&
		     process_starttime(g->pid) == g->ticks;
	return !g->running || process_starttime(keeper) == keeper_ticks;
}

/* Whether a file of a cgroup says that it is frozen; one that is not there says no. */
static bool says_frozen(const char *dir, size_t len, const char *file, const char *thawed)
{
	char path[PATH_MAX], text[64];
	int n = snprintf(path, sizeof path, "%.*s/%s", (int)len, dir, file);
	if (n < 0 || (size_t)n >= sizeof path)
		return true;
	return read_file_at(AT_FDCWD, path, text, sizeof text) >= 0 && strncmp(text, thawed, strlen(thawed)) != 0;
}

/* The guest's v2 directory is `guest` below the one that berth freezes. */
static bool is_frozen_v2(const struct plan_record *r)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s%s", r->args[0].data, r->args[1].data);
	const char *end = n > 0 && (size_t)n < sizeof path ? strrchr(path, '/') : NULL;
	return !end || says_frozen(path, (size_t)(end - path), "cgroup.freeze", "0");
}

static bool is_frozen(const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct plan_record *r = &plan->records[i];
		if (r->op == OP_CGROUP_LIKE_INIT && is_frozen_v2(r))
			return true;
		if (r->op == OP_CGROUP_JOIN && strcmp(r->args[0].data, "v1") == 0 &&
		    says_frozen(r->args[1].data, strlen(r->args[1].data), "freezer.state", "THAWED"))
			return true;
	}
	return false;
}

bool front_is_frozen(const char *rundir)
{
	__attribute__((cleanup(plan_free))) struct plan plan = {0};
	char path[PATH_MAX];
	const char *why;
	if (!front_join(path, rundir, "attach"))
		return true;
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || plan_read(fd, &plan, &why) < 0 || is_frozen(&plan);
}
