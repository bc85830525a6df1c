/* tree_copy.c - a pass over the whole tree. The stack of directories is ours, so no tree is too deep; and of that
 * stack only the last levels hold descriptors. */
#include "tree_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "util.h"

/* GRANULE_NS: ctime comes from a clock that ticks every 1 to 10 ms, and a direct write may reach the disk a little
 * after it has set the ctime. */
enum { OPEN_LEVELS = 128, PROGRESS_US = 200000, PROGRESS_EVERY = 64, GRANULE_NS = 100000000 };
enum { DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

int copy_open(struct copy *c, const char *src, const char *dst)
{
	struct stat s, d;
	c->src = open(src, DIR_FLAGS | O_NOATIME);
	if (c->src < 0 || fstat(c->src, &s) < 0)
		return fail("open", "%s", src);
	c->dst = open(dst, DIR_FLAGS);
	if (c->dst < 0 || fstat(c->dst, &d) < 0)
		return fail("open", "%s", dst);
	if (s.st_ino == d.st_ino && s.st_dev == d.st_dev)
		return fail_with(EINVAL, "open", "source and destination are the same");
	c->src_dev = s.st_dev;
	c->dst_dev = d.st_dev;
	c->dst_ino = d.st_ino;
	c->granule = GRANULE_NS;
	c->settled_before = INT64_MIN;
	return 0;
}

static void close_level(struct level *l)
{
	close_fd(&l->src);
	close_fd(&l->dst);
	names_free(&l->names);
}

void copy_close(struct copy *c)
{
	while (c->depth > 0)
		close_level(&c->levels[--c->depth]);
	free(c->levels);
	c->levels = NULL;
	c->room = 0;
	table_free(&c->table);
	close_fd(&c->src);
	close_fd(&c->dst);
}

int copy_progress(struct copy *c)
{
	if (++c->unasked % PROGRESS_EVERY != 0)
		return 0;
	uint64_t now = clock_us();
	if (now < c->next_progress)
		return 0;
	c->next_progress = now + PROGRESS_US;
	return dprintf(STDOUT_FILENO, "at %ju %ju\n", (uintmax_t)c->entries, (uintmax_t)c->bytes) < 0 ? fail("output", "write") : 0;
}

/* --- the stack --- */

/* Takes both descriptors. st is of src, as of now. */
static int push(struct copy *c, int *src, int *dst, const struct stat *st, bool fresh)
{
	if (c->depth == c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		struct level *more = reallocarray(c->levels, room, sizeof *more);
		if (!more)
			return fail("walk", "memory");
		c->levels = more;
		c->room = room;
	}
	struct stat there;
	if (fstat(*dst, &there) < 0)
		return fail("walk", "stat");
	const struct known *k = table_bound(&c->table, st->st_ino, there.st_ino);
	bool stable = !fresh && k && k->settled && k->ctime == nanoseconds(&st->st_ctim);
	struct level *l = &c->levels[c->depth++];
	*l = (struct level){.src = take_fd(src), .dst = take_fd(dst), .dst_ino = there.st_ino, .st = *st, .fresh = fresh, .stable = stable};
	/* The root stays open: it is where a walk that lost its way goes on. */
	if (c->depth > OPEN_LEVELS + 1) {
		close_fd(&c->levels[c->depth - 1 - OPEN_LEVELS].src);
		close_fd(&c->levels[c->depth - 1 - OPEN_LEVELS].dst);
	}
	return names_read(&l->names, l->src);
}

/* The directory above, if it is still the one we came from. */
static int parent_of(int dir, uint64_t ino, dev_t dev)
{
	cleanup_fd int fd = openat(dir, "..", DIR_FLAGS);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (st.st_ino != ino || st.st_dev != dev) {
		errno = ESTALE;
		return -1;
	}
	return take_fd(&fd);
}

/* The next pass has to look at this directory closely. */
static void unsettle(struct copy *c, uint64_t ino)
{
	struct known *k = table_find(&c->table, ino);
	if (k)
		k->settled = 0;
}

/* Leaves the top level; opens the one below again when it has no descriptors. When the guest has moved the directory
 * that we are in, the way back is lost: what is left of its levels is for the next pass. */
static int pop(struct copy *c)
{
	struct level *l = &c->levels[c->depth - 1], *up = c->depth > 1 ? l - 1 : NULL;
	if (up && up->dst < 0 && (up->dst = parent_of(l->dst, up->dst_ino, c->dst_dev)) < 0)
		return fail("walk", "the destination has changed");
	if (up && up->src < 0)
		up->src = parent_of(l->src, up->st.st_ino, c->src_dev);
	close_level(l);
	c->depth--;
	while (c->depth > 0 && c->levels[c->depth - 1].src < 0) {
		unsettle(c, c->levels[c->depth - 1].st.st_ino);
		close_level(&c->levels[--c->depth]);
	}
	return 0;
}

/* --- directories --- */

/* The directory of the destination that stands for inode ino; made anew if what is there was something else. */
static int open_twin(struct copy *c, struct level *l, const char *name, const struct stat *st, bool *fresh)
{
	struct stat there;
	cleanup_fd int dst = l->fresh ? -1 : openat(l->dst, name, DIR_FLAGS);
	*fresh = false;
	if (dst >= 0 && fstat(dst, &there) == 0 && table_bound(&c->table, st->st_ino, there.st_ino))
		return take_fd(&dst);
	l->touched = true;
	close_fd(&dst);
	int made = mkdirat(l->dst, name, 0700);
	if (made < 0 && errno == EEXIST) {
		if (remove_entry(l->dst, name) < 0)
			return -1;
		made = mkdirat(l->dst, name, 0700);
	}
	if (made < 0 || (dst = openat(l->dst, name, DIR_FLAGS)) < 0)
		return fail("create", "%s", name);
	if (copy_remember(c, st, dst, true) < 0)
		return -1;
	unsettle(c, st->st_ino);
	*fresh = true;
	return take_fd(&dst);
}

static int enter(struct copy *c, struct level *l, const char *name)
{
	struct stat st;
	cleanup_fd int src = openat(l->src, name, DIR_FLAGS | O_NOATIME);
	if (src < 0 || fstat(src, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : fail("open", "%s", name);
	if (st.st_dev != c->src_dev)
		return 0;
	if (st.st_ino == c->dst_ino && st.st_dev == c->dst_dev)
		return fail_with(EINVAL, "open", "%s: the destination lies in the source", name);
	bool fresh;
	cleanup_fd int dst = open_twin(c, l, name, &st, &fresh);
	return dst < 0 ? -1 : push(c, &src, &dst, &st, fresh);
}

static int step(struct copy *c, struct level *l)
{
	struct stat st;
	size_t i = l->next++;
	const char *name = names_get(&l->names, i);
	if (fstatat(l->src, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail("stat", "%s", name);
	if (!copy_wants(c, &st))
		return 0;
	l->names.at[l->kept++] = l->names.at[i];
	c->entries++;
	if (copy_progress(c) < 0)
		return -1;
	return S_ISDIR(st.st_mode) ? enter(c, l, name) : copy_entry(c, l, name, &st);
}

/* Removes names of the destination that the source does not have. */
static int remove_others(struct copy *c, struct level *l)
{
	cleanup_names struct names there = {0};
	if (names_read(&there, l->dst) < 0)
		return -1;
	names_sort(&there, there.count);
	names_sort(&l->names, l->kept);
	for (size_t i = 0, j = 0; i < there.count; i++) {
		const char *name = names_get(&there, i);
		int order = 1;
		while (j < l->kept && (order = strcmp(names_get(&l->names, j), name)) < 0)
			j++;
		if (j < l->kept && order == 0)
			continue;
		l->touched = true;
		c->removed++;
		if (remove_entry(l->dst, name) < 0)
			return -1;
	}
	return 0;
}

static int leave(struct copy *c)
{
	struct level *l = &c->levels[c->depth - 1];
	if (!l->stable && !l->fresh && remove_others(c, l) < 0)
		return -1;
	if (l->stable) {
		if (l->touched && meta_times(l->dst, &l->st) < 0)
			return -1;
	} else {
		if (meta_copy(&c->shift, l->src, l->dst, &l->st) < 0 || copy_remember(c, &l->st, l->dst, false) < 0)
			return -1;
		c->copied++;
	}
	return pop(c);
}

static int begin(struct copy *c, bool sync)
{
	struct timespec now;
	if (++c->pass > INT32_MAX)
		return fail_with(EOVERFLOW, "pass", "too many passes");
	c->entries = c->copied = c->removed = c->bytes = 0;
	c->next_progress = clock_us() + PROGRESS_US;
	if (!sync)
		return 0;
	/* Before the flush: a page that is written to while it runs may stay writable after it. And left as it is by a pass
	 * without one: pages dirty since the last flush are written to without a new ctime. */
	if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0)
		return fail("clock", "realtime");
	if (syncfs(c->src) < 0)
		return fail("sync", "source");
	c->settled_before = nanoseconds(&now) - c->granule;
	return 0;
}

int copy_pass(struct copy *c, bool sync)
{
	struct stat st;
	if (begin(c, sync) < 0)
		return -1;
	cleanup_fd int src = openat(c->src, ".", DIR_FLAGS | O_NOATIME);
	cleanup_fd int dst = openat(c->dst, ".", DIR_FLAGS);
	if (src < 0 || dst < 0 || fstat(src, &st) < 0)
		return fail("open", "root");
	if (push(c, &src, &dst, &st, false) < 0)
		return -1;
	while (c->depth > 0) {
		struct level *l = &c->levels[c->depth - 1];
		if ((l->next < l->names.count ? step(c, l) : leave(c)) < 0)
			return -1;
	}
	return 0;
}
