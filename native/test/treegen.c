/* treegen.c - trees of any kind, changes at random, and a comparison that shares nothing with what it judges. */
#include "treegen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

uint32_t draw(struct chance *c, uint32_t below)
{
	c->state = c->state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(c->state >> 33) % below;
}

/* Few names, so that they meet; one of any bytes. */
static const char *name_of(struct chance *c)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "f", "with space\n\xff\x01", "-rf", ".hidden"};
	return names[draw(c, sizeof names / sizeof names[0])];
}

/* A directory somewhere in the tree. */
static int some_dir(struct chance *c, int root)
{
	int at = dup(root);
	for (uint32_t steps = draw(c, 5); steps > 0; steps--) {
		int next = openat(at, name_of(c), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			continue;
		close(at);
		at = next;
	}
	return at;
}

static void write_some(struct chance *c, int fd)
{
	static char text[9000];
	memset(text, (int)('a' + draw(c, 26)), sizeof text);
	off_t at = draw(c, 4) == 0 ? (off_t)draw(c, 1 << 20) : 0;
	if (draw(c, 3) == 0 && ftruncate(fd, draw(c, 100000)) < 0)
		return;
	if (pwrite(fd, text, draw(c, sizeof text), at) < 0)
		return;
}

static void write_file(struct chance *c, int dir, const char *name)
{
	struct stat st;
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	/* A change that size and mtime do not tell. */
	bool forge = draw(c, 2) == 0 && fstat(fd, &st) == 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		write_some(c, fd);
		const struct timespec times[2] = {st.st_atim, st.st_mtim};
		if (forge && futimens(fd, times) < 0)
			perror("futimens");
	}
	close(fd);
}

static void change_attribute(struct chance *c, int dir, const char *name)
{
	static const char *const names[] = {"user.a", "trusted.b", "trusted.overlay.opaque", "trusted.overlay.origin", "trusted.overlay.redirect"};
	char path[64], value[40];
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	const char *attribute = names[draw(c, sizeof names / sizeof names[0])];
	memset(value, 'x', sizeof value);
	if (draw(c, 3) == 0)
		removexattr(path, attribute);
	else
		setxattr(path, attribute, value, draw(c, sizeof value), 0);
	close(fd);
}

static void remove_below(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0 || errno != EISDIR)
		return;
	int below = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below < 0)
		return;
	empty(below);
	close(below);
	unlinkat(dir, name, AT_REMOVEDIR);
}

void empty(int root)
{
	int again = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	for (struct dirent *e; d && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_below(root, e->d_name);
	if (d)
		closedir(d);
}

static void change_metadata(struct chance *c, int dir, const char *name)
{
	struct stat st;
	if (fchownat(dir, name, draw(c, 3) * 1000, draw(c, 3) * 1000, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode))
		fchmodat(dir, name, draw(c, 010000), 0);
}

void mutate(struct chance *c, int root)
{
	int dir = some_dir(c, root), other = some_dir(c, root);
	const char *name = name_of(c), *second = name_of(c);
	switch (draw(c, 16)) {
	case 0:
	case 1:
	case 2:
		mkdirat(dir, name, 0755);
		break;
	case 3:
	case 4:
	case 5:
		write_file(c, dir, name);
		break;
	case 6:
		linkat(dir, name, other, second, 0);
		break;
	case 7:
	case 8:
		renameat2(dir, name, other, second, draw(c, 3) == 0 ? RENAME_EXCHANGE : 0);
		break;
	case 9:
		symlinkat(second, dir, name);
		break;
	case 10:
		mknodat(dir, name, S_IFCHR, 0);
		break;
	case 11:
		mknodat(dir, name, draw(c, 2) ? S_IFIFO | 0640 : S_IFSOCK | 0755, 0);
		break;
	case 12:
		if (draw(c, 3) == 0)
			remove_below(dir, name);
		else
			unlinkat(dir, name, 0);
		break;
	case 13:
		change_metadata(c, dir, name);
		break;
	case 14:
		mknodat(dir, name, S_IFBLK | 0600, makedev(7, 250));
		break;
	default:
		change_attribute(c, dir, name);
	}
	close(dir);
	close(other);
}

/* --- the comparison --- */

enum { MOST_INODES = 1 << 16 };
static struct {
	ino_t src, dst;
} pairs[MOST_INODES];
static size_t pair_count;

/* Names that are one file there are one file here, and no others. */
static bool same_links(ino_t src, ino_t dst)
{
	for (size_t i = 0; i < pair_count; i++)
		if (pairs[i].src == src || pairs[i].dst == dst)
			return pairs[i].src == src && pairs[i].dst == dst;
	if (pair_count < MOST_INODES) {
		pairs[pair_count].src = src;
		pairs[pair_count++].dst = dst;
	}
	return true;
}

static const char *content_difference(int src, int dst)
{
	static char a[1 << 16], b[1 << 16];
	for (;;) {
		ssize_t n = read(src, a, sizeof a), m = read(dst, b, sizeof b);
		if (n != m || n < 0 || memcmp(a, b, (size_t)n) != 0)
			return "content";
		if (n == 0)
			return NULL;
	}
}

static bool is_left_out(const char *attribute)
{
	return strcmp(attribute, "trusted.overlay.origin") == 0;
}

/* Each attribute of one that the other has not, or has otherwise. */
static const char *attribute_difference(const char *one, const char *other, bool left_out)
{
	static char names[65536], a[65536], b[65536];
	ssize_t len = listxattr(one, names, sizeof names);
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1) {
		if (is_left_out(names + at)) {
			if (!left_out)
				return "an attribute that is to be left out";
			continue;
		}
		ssize_t n = getxattr(one, names + at, a, sizeof a), m = getxattr(other, names + at, b, sizeof b);
		if (n < 0 || n != m || memcmp(a, b, (size_t)n) != 0)
			return "attribute";
	}
	return NULL;
}

static const char *node_difference(int src, int dst)
{
	char a[64], b[64], to[4096], there[4096];
	struct stat s, d;
	snprintf(a, sizeof a, "/proc/self/fd/%d", src);
	snprintf(b, sizeof b, "/proc/self/fd/%d", dst);
	if (fstat(src, &s) < 0 || fstat(dst, &d) < 0)
		return "stat";
	if (s.st_mode != d.st_mode || s.st_uid != d.st_uid || s.st_gid != d.st_gid || s.st_rdev != d.st_rdev)
		return "mode, owner or device";
	if (memcmp(&s.st_mtim, &d.st_mtim, sizeof s.st_mtim) != 0)
		return "mtime";
	if (S_ISLNK(s.st_mode)) {
		ssize_t n = readlinkat(src, "", to, sizeof to), m = readlinkat(dst, "", there, sizeof there);
		if (n < 0 || n != m || memcmp(to, there, (size_t)n) != 0)
			return "link target";
	}
	const char *found = attribute_difference(a, b, true);
	if (!found)
		found = attribute_difference(b, a, false);
	if (found || !S_ISREG(s.st_mode))
		return found;
	if (s.st_size != d.st_size || d.st_blocks > s.st_blocks + 16)
		return "size or holes";
	int from = open(a, O_RDONLY | O_CLOEXEC), copy = open(b, O_RDONLY | O_CLOEXEC);
	found = content_difference(from, copy);
	close(from);
	close(copy);
	return found;
}

static const char *below_difference(int src, int dst);

static const char *entry_difference(int src, int dst, const char *name)
{
	struct stat s, d;
	int a = openat(src, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), b = openat(dst, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	const char *found = a < 0 || b < 0 || fstat(a, &s) < 0 || fstat(b, &d) < 0 ? "an entry is missing" : node_difference(a, b);
	if (!found && !same_links(s.st_ino, d.st_ino))
		found = "hard links";
	if (!found && S_ISDIR(s.st_mode)) {
		int in = openat(a, ".", O_RDONLY | O_CLOEXEC), out = openat(b, ".", O_RDONLY | O_CLOEXEC);
		found = below_difference(in, out);
		close(in);
		close(out);
	}
	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return found;
}

static bool is_device(int dir, const char *name)
{
	struct stat st;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISBLK(st.st_mode);
}

/* All names of one, devices aside, looked up in both. */
static const char *names_difference(int one, int src, int dst)
{
	DIR *d = fdopendir(openat(one, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const char *found = d ? NULL : "directory";
	for (struct dirent *e; !found && (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (one == src && is_device(src, e->d_name))
			continue;
		found = entry_difference(src, dst, e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

static const char *below_difference(int src, int dst)
{
	const char *found = names_difference(src, src, dst);
	return found ? found : names_difference(dst, src, dst);
}

const char *difference(int src, int dst)
{
	pair_count = 0;
	const char *found = node_difference(src, dst);
	return found ? found : below_difference(src, dst);
}
