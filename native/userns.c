/* userns.c - id maps of user namespaces. */
#include "userns.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys.h"
#include "util.h"

enum { MAP_SIZE = 4096, GUEST_IDS = 65536 };

struct maps {
	char u[MAP_SIZE], g[MAP_SIZE];
};

struct range {
	uint64_t inside, outside, count;
};

static int read_range(const struct plan_record *r, struct range *out)
{
	uint64_t *const numbers[] = {&out->inside, &out->outside, &out->count};
	for (int k = 0; k < 3; k++)
		if (!plan_u64(&r->args[k + 1], UINT32_MAX, numbers[k]))
			return fail_with(EINVAL, "idmap", "%s", r->args[k + 1].data);
	return 0;
}

static int add_line(char *text, const struct range *r)
{
	size_t used = strlen(text);
	int n = snprintf(text + used, MAP_SIZE - used, "%llu %llu %llu\n", (unsigned long long)r->inside,
			 (unsigned long long)r->outside, (unsigned long long)r->count);
	return n < 0 || (size_t)n >= MAP_SIZE - used ? fail_with(E2BIG, "idmap", "too many lines") : 0;
}

/* All records of one kind, "u" or "g". */
static int plan_map(const struct plan *p, const char *which, char *text)
{
	*text = '\0';
	for (uint32_t i = 0; i < p->count; i++) {
		struct range range;
		if (p->records[i].op != OP_IDMAP || strcmp(p->records[i].args[0].data, which) != 0)
			continue;
		if (read_range(&p->records[i], &range) < 0 || add_line(text, &range) < 0)
			return -1;
	}
	return *text ? 0 : fail_with(EINVAL, "idmap", "no %sid map", which);
}

static int plan_maps(const struct plan *p, struct maps *out)
{
	return plan_map(p, "u", out->u) < 0 || plan_map(p, "g", out->g) < 0 ? -1 : 0;
}

/* One line: from FROM on to where the guest's own range begins. */
static int shifted_map(const struct plan *p, const char *which, uint32_t from, char *text)
{
	struct range range = {.inside = 0, .outside = 0, .count = GUEST_IDS};
	*text = '\0';
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->records[i].op != OP_IDMAP || strcmp(p->records[i].args[0].data, which) != 0)
			continue;
		if (read_range(&p->records[i], &range) < 0)
			return -1;
		if (range.inside == 0)
			break;
	}
	if (range.inside != 0)
		return fail_with(EINVAL, "idmap", "the %sid map does not begin at 0", which);
	range.inside = from;
	return add_line(text, &range);
}

static int write_map(pid_t pid, const char *which, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%sid_map", (int)pid, which);
	if (write_file_at(AT_FDCWD, path, text) < 0)
		return fail("idmap", "%sid_map %.*s", which, (int)strlen(text) - 1, text);
	return 0;
}

static int write_maps(pid_t pid, const struct maps *maps)
{
	return write_map(pid, "u", maps->u) < 0 || write_map(pid, "g", maps->g) < 0 ? -1 : 0;
}

int userns_map(const struct plan *p, pid_t pid)
{
	struct maps maps;
	return plan_maps(p, &maps) < 0 || write_maps(pid, &maps) < 0 ? -1 : 0;
}

static _Noreturn void wait_to_be_killed(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	for (;;)
		pause();
}

static int open_namespace(pid_t pid, const struct maps *maps)
{
	char path[64];
	if (write_maps(pid, maps) < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? fail("idmap", "%s", path) : fd;
}

/* A namespace lives as long as an fd of it is open; a process has to be in it only while it is being made. */
static int make(const struct maps *maps)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	pid_t self = getpid(), pid = sys_clone3(&args);
	if (pid == 0)
		wait_to_be_killed(self);
	if (pid < 0)
		return fail("idmap", "a user namespace");
	int fd = open_namespace(pid, maps);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

int userns_of_plan(const struct plan *p)
{
	struct maps maps;
	return plan_maps(p, &maps) < 0 ? -1 : make(&maps);
}

int userns_shifted(const struct plan *p, uint32_t from)
{
	struct maps maps;
	if (shifted_map(p, "u", from, maps.u) < 0 || shifted_map(p, "g", from, maps.g) < 0)
		return -1;
	return make(&maps);
}
