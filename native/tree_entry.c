/* tree_entry.c - one entry that is no directory: is it still what it was, is it a name of a file that is there already,
 * or does it have to be made. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tree_copy.h"
#include "util.h"

int64_t nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/* What opening a name says when the guest has removed it or put something else there. */
static bool vanished(void)
{
	return errno == ENOENT || errno == ELOOP || errno == ENOTDIR || errno == ESTALE;
}

int copy_remember(struct copy *c, const struct stat *st, int dst, bool made)
{
	struct stat there;
	if (fstat(dst, &there) < 0)
		return fail("copy", "stat");
	struct known *k = table_add(&c->table, st->st_ino);
	if (!k || table_bind(&c->table, k, there.st_ino, made) < 0)
		return -1;
	k->ctime = nanoseconds(&st->st_ctim);
	k->settled = k->ctime < c->settled_before;
	k->pass = c->pass;
	if (!S_ISDIR(st->st_mode))
		c->copied++;
	if (S_ISDIR(st->st_mode) || st->st_nlink == 1 || k->handle)
		return 0;
	return table_keep_handle(&c->table, k, dst);
}

/* Takes away what bars the way of something new. */
static int clear(struct level *l, const char *name)
{
	l->touched = true;
	return remove_entry(l->dst, name);
}

/* Gives the name another link to what its inode has become. 1 done, 0 not possible, -1. */
static int link_known(struct copy *c, struct level *l, const char *name, const struct known *k)
{
	cleanup_fd int there = table_open_handle(&c->table, k, c->dst);
	if (there < 0)
		return 0;
	l->touched = true;
	int result = linkat(there, "", l->dst, name, AT_EMPTY_PATH);
	if (result < 0 && errno == EEXIST) {
		if (clear(l, name) < 0)
			return -1;
		result = linkat(there, "", l->dst, name, AT_EMPTY_PATH);
	}
	/* ENOENT: what stood in the way was its last name. EMLINK: the destination takes fewer links. */
	if (result < 0 && (errno == ENOENT || errno == EMLINK))
		return 0;
	return result < 0 ? fail("link", "%s", name) : 1;
}

static int make_file(struct level *l, const char *name)
{
	enum { FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };
	l->touched = true;
	int fd = openat(l->dst, name, FLAGS, 0600);
	if (fd < 0 && errno == EEXIST) {
		if (clear(l, name) < 0)
			return -1;
		fd = openat(l->dst, name, FLAGS, 0600);
	}
	return fd < 0 ? fail("create", "%s", name) : fd;
}

/* The file that inode dst_ino is; -1 when the name leads elsewhere. */
static int reuse_file(const struct level *l, const char *name, uint64_t dst_ino)
{
	cleanup_fd int fd = openat(l->dst, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != dst_ino)
		return -1;
	return take_fd(&fd);
}

/* Opened in two steps: a device that the guest puts there is never opened for reading. */
static int open_source(const struct level *l, const char *name)
{
	char path[32];
	struct stat st;
	cleanup_fd int found = openat(l->src, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (found < 0 || fstat(found, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = ENOENT;
		return -1;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", found);
	return open(path, O_RDONLY | O_NOATIME | O_NONBLOCK | O_CLOEXEC);
}

static int copy_file(struct copy *c, struct level *l, const char *name, uint64_t dst_ino)
{
	cleanup_fd int src = open_source(l, name);
	if (src < 0)
		return vanished() ? 0 : fail("open", "%s", name);
	/* ctime moves when a write begins. Seeking takes the inode's lock (ext4, btrfs; XFS does so when reading): a write
	 * that began earlier has ended, and one that begins later moves the ctime that is read next or the one after. */
	struct stat st;
	if ((lseek(src, 0, SEEK_DATA) < 0 && errno != ENXIO) || fstat(src, &st) < 0)
		return fail("open", "%s", name);
	if (st.st_dev != c->src_dev)
		return 0;
	cleanup_fd int dst = dst_ino ? reuse_file(l, name, dst_ino) : -1;
	bool make = dst < 0;
	if (make && (dst = make_file(l, name)) < 0)
		return -1;
	if (copy_data(c, src, dst, &st) < 0 || meta_copy(&c->shift, src, dst, &st) < 0)
		return fail_about(name);
	return copy_remember(c, &st, dst, make);
}

/* --- symbolic links, whiteouts, fifos, sockets, devices --- */

struct special {
	struct stat st;
	char target[PATH_MAX];
};

static int look(int fd, struct special *s)
{
	if (fstat(fd, &s->st) < 0)
		return -1;
	ssize_t len = S_ISLNK(s->st.st_mode) ? readlinkat(fd, "", s->target, sizeof s->target - 1) : 0;
	if (len < 0)
		return -1;
	s->target[len] = '\0';
	return 0;
}

static bool alike(const struct special *a, const struct special *b)
{
	return ((a->st.st_mode ^ b->st.st_mode) & S_IFMT) == 0 && a->st.st_rdev == b->st.st_rdev && strcmp(a->target, b->target) == 0;
}

static int make_node(const struct level *l, const char *name, const struct special *s)
{
	if (S_ISLNK(s->st.st_mode))
		return symlinkat(s->target, l->dst, name);
	return mknodat(l->dst, name, (s->st.st_mode & S_IFMT) | 0600, s->st.st_rdev);
}

static int make_special(struct level *l, const char *name, const struct special *s)
{
	l->touched = true;
	int result = make_node(l, name, s);
	if (result < 0 && errno == EEXIST) {
		if (clear(l, name) < 0)
			return -1;
		result = make_node(l, name, s);
	}
	int fd = result < 0 ? -1 : openat(l->dst, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? fail("create", "%s", name) : fd;
}

static int reuse_special(const struct level *l, const char *name, uint64_t dst_ino, const struct special *s)
{
	struct special there;
	cleanup_fd int fd = openat(l->dst, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || look(fd, &there) < 0 || there.st.st_ino != dst_ino || !alike(&there, s))
		return -1;
	return take_fd(&fd);
}

static int copy_special(struct copy *c, struct level *l, const char *name, uint64_t dst_ino)
{
	struct special s;
	cleanup_fd int src = openat(l->src, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (src < 0 || look(src, &s) < 0)
		return vanished() ? 0 : fail("open", "%s", name);
	if (S_ISREG(s.st.st_mode) || S_ISDIR(s.st.st_mode) || s.st.st_dev != c->src_dev || !copy_wants(c, &s.st))
		return 0; /* something else since its stat was taken */
	cleanup_fd int dst = dst_ino ? reuse_special(l, name, dst_ino, &s) : -1;
	bool make = dst < 0;
	if (make && (dst = make_special(l, name, &s)) < 0)
		return -1;
	if (meta_copy(&c->shift, src, dst, &s.st) < 0)
		return fail_about(name);
	return copy_remember(c, &s.st, dst, make);
}

bool copy_wants(const struct copy *c, const struct stat *st)
{
	bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
	bool whiteout = S_ISCHR(st->st_mode) && st->st_rdev == 0;
	return st->st_dev == c->src_dev && (!device || whiteout || c->keep_devices);
}

/* Does the name of the destination lead to what the inode became? */
static bool is_bound(const struct copy *c, const struct level *l, const char *name, const struct known *k, const struct stat *st)
{
	struct stat there;
	if (l->fresh || !table_bound(&c->table, st->st_ino, k->dst_ino))
		return false;
	/* The directory has not changed, and a link elsewhere would have moved the ctime. */
	if (l->stable && st->st_nlink == 1)
		return true;
	return fstatat(l->dst, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == k->dst_ino;
}

int copy_entry(struct copy *c, struct level *l, const char *name, const struct stat *st)
{
	const struct known *k = table_find(&c->table, st->st_ino);
	bool bound = k && is_bound(c, l, name, k, st);
	bool current = k && k->ctime == nanoseconds(&st->st_ctim) && (k->settled || k->pass == c->pass);
	if (!bound && k && k->handle && st->st_nlink > 1) {
		int linked = link_known(c, l, name, k);
		if (linked < 0)
			return -1;
		bound = linked == 1;
		c->copied += bound && current;
	}
	if (bound && current)
		return 0;
	uint64_t dst_ino = bound ? k->dst_ino : 0;
	return S_ISREG(st->st_mode) ? copy_file(c, l, name, dst_ino) : copy_special(c, l, name, dst_ino);
}
