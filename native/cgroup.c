/* cgroup.c - joining, leaving and removing cgroups, v1 and v2. */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "sys.h"
#include "util.h"

enum { REMOVE_WAIT_MS = 2000, REMOVE_STEP_MS = 5, MAX_WALK = 4096, BPF_LOG = 16384 };

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A single thread's 0 in tasks moves it without the lock that a write to cgroup.procs takes. */
static int enter_v1(const char *step, const char *path)
{
	cleanup_fd int dir = open_dir(path);
	if (dir < 0 || write_file_at(dir, "tasks", "0") < 0)
		return fail(step, "%s", path);
	return 0;
}

/* Enters the v1 directories of an op; *v2 is an fd of its only v2 directory, or -1. */
static int enter_all(const struct plan *p, enum plan_op op, const char *step, int *v2, bool v1)
{
	*v2 = -1;
	for (uint32_t i = 0; i < p->count; i++) {
		const struct plan_record *r = &p->records[i];
		if (r->op != op)
			continue;
		if (strcmp(r->args[0].data, "v1") == 0) {
			if (v1 && enter_v1(step, r->args[1].data) < 0)
				return -1;
			continue;
		}
		if (strcmp(r->args[0].data, "v2") != 0 || *v2 >= 0)
			return fail_with(EINVAL, step, "%s %s", r->args[0].data, r->args[1].data);
		*v2 = open_dir(r->args[1].data);
		if (*v2 < 0)
			return fail(step, "%s", r->args[1].data);
	}
	return 0;
}

int cgroup_join(const struct plan *p, int *v2)
{
	return enter_all(p, OP_CGROUP_JOIN, "cgroup-join", v2, true);
}

int cgroup_keeper_v2(const struct plan *p, int *dir)
{
	return enter_all(p, OP_CGROUP_KEEPER, "cgroup-keeper", dir, false);
}

int cgroup_leave(const struct plan *p)
{
	cleanup_fd int v2 = -1;
	return enter_all(p, OP_CGROUP_KEEPER, "cgroup-keeper", &v2, true);
}

static uint64_t ptr(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static int load_program(const struct plan_arg *program)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.expected_attach_type = BPF_CGROUP_DEVICE,
		.insns = ptr(program->data),
		.insn_cnt = program->len / (uint32_t)sizeof(struct bpf_insn),
		.license = ptr("GPL"),
		.prog_name = "berth_devices",
	};
	int fd = sys_bpf(BPF_PROG_LOAD, &attr);
	if (fd >= 0)
		return fd;
	int err = errno;
	cleanup_free char *log = calloc(1, BPF_LOG);
	if (log) { /* once more, to hear why */
		attr.log_buf = ptr(log);
		attr.log_size = BPF_LOG;
		attr.log_level = 1;
		fd = sys_bpf(BPF_PROG_LOAD, &attr);
		if (fd >= 0)
			return fd;
	}
	size_t len = log ? strlen(log) : 0, most = 300;
	return fail_with(err, "device-bpf", "program of %u instructions: %s", attr.insn_cnt,
			 len == 0 ? "refused" : log + (len > most ? len - most : 0));
}

int cgroup_devices(const struct plan *p)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const struct plan_record *r = &p->records[i];
		if (r->op != OP_DEVICE_BPF)
			continue;
		if (r->args[1].len == 0 || r->args[1].len % sizeof(struct bpf_insn) != 0)
			return fail_with(EINVAL, "device-bpf", "the program is not made of whole instructions");
		cleanup_fd int dir = open_dir(r->args[0].data);
		if (dir < 0)
			return fail("device-bpf", "%s", r->args[0].data);
		cleanup_fd int program = load_program(&r->args[1]);
		if (program < 0)
			return -1;
		union bpf_attr attr = {
			.target_fd = (uint32_t)dir,
			.attach_bpf_fd = (uint32_t)program,
			.attach_type = BPF_CGROUP_DEVICE,
			.attach_flags = BPF_F_ALLOW_MULTI,
		};
		if (sys_bpf(BPF_PROG_ATTACH, &attr) < 0)
			return fail("device-bpf", "%s: attach", r->args[0].data);
	}
	return 0;
}

/* The name of the first directory in dir. 1 found, 0 none, -1 error. */
static int first_child(int dir, char *name, size_t size)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (!d) {
		if (copy >= 0)
			close(copy);
		return -1;
	}
	int found = 0;
	for (struct dirent *e; found == 0 && (e = readdir(d));) {
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
			snprintf(name, size, "%s", e->d_name);
			found = 1;
		}
	}
	closedir(d);
	return found;
}

/* Empties dir of directories, always working at the deepest first one: no recursion, two fds however deep it is. */
static int remove_children(int *at, const char *path, uint64_t deadline)
{
	char name[256];
	unsigned depth = 0;
	for (;;) {
		int found = first_child(*at, name, sizeof name);
		if (found < 0)
			return fail("cgroup-remove", "%s", path);
		if (found == 0 && depth == 0)
			return 0;
		int next;
		if (found == 0) {
			next = openat(*at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			depth--;
		} else {
			if (unlinkat(*at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
				continue;
			if (errno != EBUSY && errno != ENOTEMPTY)
				return fail("cgroup-remove", "%s/.../%s", path, name);
			next = openat(*at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			depth++;
			char inner[256];
			if (next >= 0 && first_child(next, inner, sizeof inner) == 0) {
				/* A leaf that is busy: its processes are on their way out. */
				if (clock_us() > deadline) {
					close(next);
					return fail_with(EBUSY, "cgroup-remove", "%s/.../%s", path, name);
				}
				sleep_ms(REMOVE_STEP_MS);
			}
		}
		if (next < 0)
			return fail("cgroup-remove", "%s", path);
		close(*at);
		*at = next;
	}
}

int cgroup_remove(const char *path)
{
	uint64_t deadline = clock_us() + REMOVE_WAIT_MS * 1000ULL;
	for (;;) {
		if (rmdir(path) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY && errno != ENOTEMPTY)
			return fail("cgroup-remove", "%s", path);
		cleanup_fd int dir = open_dir(path);
		if (dir < 0)
			return fail("cgroup-remove", "%s", path);
		if (remove_children(&dir, path, deadline) < 0)
			return -1;
		if (rmdir(path) == 0)
			return 0;
		if (clock_us() > deadline)
			return fail("cgroup-remove", "%s", path);
		sleep_ms(REMOVE_STEP_MS);
	}
}

static uint64_t kills_in(int dir, const char *name)
{
	char buf[1024];
	if (read_file_at(dir, name, buf, sizeof buf) < 0)
		return 0;
	const char *at = strstr(buf, "oom_kill ");
	return at ? strtoull(at + 9, NULL, 10) : 0;
}

static uint64_t kills_below(int parent, const char *sub, const char *name, int *budget)
{
	int fd = openat(parent, sub, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	uint64_t sum = kills_in(fd, name);
	for (struct dirent *e; *budget > 0 && (e = readdir(d));)
		if (e->d_type == DT_DIR && e->d_name[0] != '.' && (*budget)-- > 0)
			sum += kills_below(fd, e->d_name, name, budget);
	closedir(d);
	return sum;
}

uint64_t cgroup_oom_kills(const char *file, bool v1)
{
	const char *slash = strrchr(file, '/');
	if (!v1 || !slash)
		return kills_in(AT_FDCWD, file);
	char dir[4096];
	int n = snprintf(dir, sizeof dir, "%.*s", (int)(slash - file), file), budget = MAX_WALK;
	return n < 0 || (size_t)n >= sizeof dir ? 0 : kills_below(AT_FDCWD, dir, slash + 1, &budget);
}
