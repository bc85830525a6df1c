/* tree_aliases.c - hard links of a lower layer of which the guest has written to one name. */
#include "tree_aliases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sys.h"
#include "tree_names.h"
#include "util.h"

/* An overlay file handle begins with bytes that align what follows, and that is the index entry's name in binary
 * (struct ovl_fh, fs/overlayfs/overlayfs.h). */
enum { PADDING = 3, NAME_MAX_HEX = 2 * MAX_HANDLE_SZ };

/* Has the file names that are not in the upper directory? The kernel keeps the number of its names in the union as a
 * difference to the upper inode's links (ovl_set_nlink_upper), of which the index itself is one: -1 when the upper
 * has them all. Any other form is left by a crash: then there may be some. */
static bool misses_names(int fd)
{
	char path[32], text[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t len = getxattr(path, "trusted.overlay.nlink", text, sizeof text - 1);
	if (len < 2 || text[0] != 'U')
		return true;
	text[len] = '\0';
	return strtol(text + 1, NULL, 10) >= 0;
}

/* Keeps the index entries that have names elsewhere, sorted. */
static int find_open_entries(int index, struct names *entries)
{
	if (names_read(entries, index) < 0)
		return -1;
	size_t kept = 0;
	for (size_t i = 0; i < entries->count; i++) {
		cleanup_fd int fd = openat(index, names_get(entries, i), O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || fstat(fd, &st) < 0)
			return fail("aliases", "index");
		if (S_ISREG(st.st_mode) && misses_names(fd))
			entries->at[kept++] = entries->at[i];
	}
	entries->count = kept;
	names_sort(entries, kept);
	return 0;
}

static bool has_entry(const struct names *entries, const char *name)
{
	size_t low = 0, high = entries->count;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(names_get(entries, mid), name);
		if (order == 0)
			return true;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* The name of the file's index entry, if it has one. */
static bool index_name(int fd, char *name)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = {.h.handle_bytes = MAX_HANDLE_SZ};
	int mount;
	if (name_to_handle_at(fd, "", &u.h, &mount, AT_EMPTY_PATH) < 0 || u.h.handle_bytes < PADDING + 3)
		return false;
	const unsigned char *bytes = u.h.f_handle + PADDING;
	size_t len = u.h.handle_bytes - PADDING;
	if (bytes[2] < len) /* the kernel rounds up to words; the third byte is the true length */
		len = bytes[2];
	for (size_t i = 0; i < len; i++)
		snprintf(name + 2 * i, 3, "%02x", bytes[i]);
	name[2 * len] = '\0';
	return true;
}

/* A file that is open for writing is copied up under this name too. A program that runs cannot be opened so, but its
 * mode can be set to what it is. */
static int copy_up(int fd, mode_t mode)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	cleanup_fd int writable = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (writable >= 0 || ((errno == ETXTBSY || errno == EAGAIN) && chmod(path, mode & 07777) == 0))
		return 0;
	return fail("aliases", "copy up");
}

/* --- the walk over the union: one directory is open at a time; the way back is "..", which never leaves the mount --- */

struct walk {
	struct names *levels;
	size_t *next;
	size_t depth, room;
	int dir;
	uint64_t count;
};

static void walk_free(struct walk *w)
{
	while (w->depth > 0)
		names_free(&w->levels[--w->depth]);
	free(w->levels);
	free(w->next);
	close_fd(&w->dir);
}

/* What lies under a mount of the guest's is not looked at. */
static int open_below(int dir, const char *name, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	return sys_openat2(dir, name, &how);
}

static bool is_gone(void)
{
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV;
}

/* Goes into an open directory. */
static int enter(struct walk *w, int *dir)
{
	if (w->depth == w->room) {
		size_t room = w->room ? w->room * 2 : 64;
		struct names *levels = reallocarray(w->levels, room, sizeof *levels);
		if (!levels)
			return fail("aliases", "memory");
		w->levels = levels;
		size_t *next = reallocarray(w->next, room, sizeof *next);
		if (!next)
			return fail("aliases", "memory");
		w->next = next;
		w->room = room;
	}
	close_fd(&w->dir);
	w->dir = take_fd(dir);
	w->levels[w->depth] = (struct names){0};
	w->next[w->depth] = 0;
	return names_read(&w->levels[w->depth++], w->dir);
}

static int leave(struct walk *w)
{
	names_free(&w->levels[--w->depth]);
	if (w->depth == 0)
		return 0;
	cleanup_fd int up = open_below(w->dir, "..", O_RDONLY | O_DIRECTORY);
	if (up < 0)
		return fail("aliases", "parent directory");
	close_fd(&w->dir);
	w->dir = take_fd(&up);
	return 0;
}

static int look_at(struct walk *w, const char *name, const struct names *entries)
{
	char index[NAME_MAX_HEX + 1];
	struct stat st;
	cleanup_fd int fd = open_below(w->dir, name, O_PATH);
	if (fd < 0)
		return is_gone() ? 0 : fail("aliases", "%s", name);
	if (fstat(fd, &st) < 0)
		return fail("aliases", "%s", name);
	if (S_ISDIR(st.st_mode)) {
		cleanup_fd int dir = open_below(fd, ".", O_RDONLY | O_DIRECTORY);
		if (dir < 0)
			return is_gone() ? 0 : fail("aliases", "%s", name);
		return enter(w, &dir);
	}
	if (!S_ISREG(st.st_mode) || st.st_nlink < 2 || !index_name(fd, index) || !has_entry(entries, index))
		return 0;
	w->count++;
	return copy_up(fd, st.st_mode) < 0 ? fail_about(name) : 0;
}

static int walk_union(struct walk *w, const struct names *entries)
{
	while (w->depth > 0) {
		size_t level = w->depth - 1;
		int result = w->next[level] < w->levels[level].count
				     ? look_at(w, names_get(&w->levels[level], w->next[level]++), entries)
				     : leave(w);
		if (result < 0)
			return -1;
	}
	return 0;
}

/* The mount alone, without what is mounted on it; of another mount namespace it cannot be had. */
static int open_union(const char *merged)
{
	cleanup_fd int root = open(merged, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -1;
	cleanup_fd int bare = open_tree(root, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return openat(bare < 0 ? root : bare, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int copy_up_aliases(const char *merged, const char *work, uint64_t *count)
{
	*count = 0;
	cleanup_fd int at = open(work, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0)
		return fail("aliases", "%s", work);
	cleanup_fd int index = openat(at, "index", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (index < 0)
		return errno == ENOENT ? 0 : fail("aliases", "%s/index", work);
	cleanup_names struct names entries = {0};
	if (find_open_entries(index, &entries) < 0)
		return -1;
	if (entries.count == 0)
		return 0;
	__attribute__((cleanup(walk_free))) struct walk w = {.dir = -1};
	cleanup_fd int root = open_union(merged);
	if (root < 0)
		return fail("aliases", "%s", merged);
	if (enter(&w, &root) < 0 || walk_union(&w, &entries) < 0)
		return -1;
	*count = w.count;
	return 0;
}
