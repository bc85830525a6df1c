/* tar_create.c - a tree as an archive, names as the guest wrote them. Nobody writes to it meanwhile: its guest stands still. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tar.h"
#include "util.h"

/* Larger ones, and those with holes, are the real tar's. */
enum { FILE_MAX = 64 << 20, DEEPEST = 32 };
static const int64_t ID_MAX = 07777777, TIME_MAX = 077777777777;

struct walk {
	dev_t dev;
	/* NULL: it is only looked whether all of it can be written. */
	struct gzip_out *out;
};

static bool is_plain(const struct stat *st, const char *path)
{
	bool file = S_ISREG(st->st_mode);
	if (strlen(path) >= TAR_NAME - 1 || (int64_t)st->st_uid > ID_MAX || (int64_t)st->st_gid > ID_MAX || st->st_mtime < 0 ||
	    st->st_mtime > TIME_MAX)
		return false;
	if (file && (st->st_size > FILE_MAX || (st->st_size > st->st_blocks * 512)))
		return false;
	/* Character device 0:0, which anybody may make: systemd bind-mounts it over devices. */
	bool nothing = S_ISCHR(st->st_mode) && st->st_rdev == 0;
	return S_ISDIR(st->st_mode) || (st->st_nlink == 1 && (file || nothing || S_ISLNK(st->st_mode) || S_ISFIFO(st->st_mode)));
}

static char type_of(mode_t mode)
{
	return S_ISDIR(mode) ? '5' : S_ISLNK(mode) ? '2' : S_ISFIFO(mode) ? '6' : S_ISCHR(mode) ? '3' : '0';
}

static void octal(char *field, size_t size, uint64_t value)
{
	field[size - 1] = '\0';
	for (size_t i = size - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

static int put_header(struct gzip_out *out, const char *path, const struct stat *st, const char *link)
{
	struct tar_header h = {0};
	unsigned sum = 0;
	(void)snprintf(h.name, sizeof h.name, "%s%s", path, S_ISDIR(st->st_mode) ? "/" : "");
	octal(h.mode, sizeof h.mode, st->st_mode & 07777);
	octal(h.uid, sizeof h.uid, st->st_uid);
	octal(h.gid, sizeof h.gid, st->st_gid);
	octal(h.size, sizeof h.size, S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0);
	octal(h.mtime, sizeof h.mtime, (uint64_t)st->st_mtime);
	h.type = type_of(st->st_mode);
	memcpy(h.link, link, strlen(link));
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	octal(h.major, sizeof h.major, 0);
	octal(h.minor, sizeof h.minor, 0);
	memset(h.checksum, ' ', sizeof h.checksum);
	for (size_t i = 0; i < sizeof h; i++)
		sum += ((const uint8_t *)&h)[i];
	octal(h.checksum, 7, sum);
	return gzip_put(out, &h, sizeof h);
}

static int put_content(struct gzip_out *out, int dir, const char *name, off_t size)
{
	static const char zeros[TAR_BLOCK];
	static char buf[64 << 10];
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fail("tar", "%s", name);
	for (off_t left = size; left > 0;) {
		ssize_t n = read(fd, buf, left < (off_t)sizeof buf ? (size_t)left : sizeof buf);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail_with(n < 0 ? errno : EPROTO, "tar", "%s: read", name);
		if (gzip_put(out, buf, (size_t)n) < 0)
			return -1;
		left -= n;
	}
	return gzip_put(out, zeros, (TAR_BLOCK - (size_t)size % TAR_BLOCK) % TAR_BLOCK);
}

/* 1 fine, 0 not for us, -1. */
static int visit(const struct walk *w, int dir, const char *name, const char *path, const struct stat *st)
{
	char link[TAR_NAME] = "";
	if (!is_plain(st, path))
		return 0;
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(dir, name, link, sizeof link);
		if (n < 0)
			return fail("tar", "%s", path);
		if ((size_t)n >= sizeof link - 1)
			return 0;
		link[n] = '\0';
	}
	if (!w->out)
		return 1;
	if (put_header(w->out, path, st, link) < 0)
		return -1;
	return S_ISREG(st->st_mode) && put_content(w->out, dir, name, st->st_size) < 0 ? -1 : 1;
}

static int walk(const struct walk *w, int fd, const char *path, int depth);

static int walk_entry(const struct walk *w, int dir, const char *name, const char *path, int depth)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail("tar", "%s", path);
	/* Whoever listens makes its socket again. */
	if (S_ISSOCK(st.st_mode))
		return 1;
	int result = visit(w, dir, name, path, &st);
	if (result <= 0 || !S_ISDIR(st.st_mode) || st.st_dev != w->dev)
		return result;
	if (depth >= DEEPEST)
		return 0;
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? fail("tar", "%s", path) : walk(w, fd, path, depth + 1);
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int walk(const struct walk *w, int fd, const char *path, int depth)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__attribute__((cleanup(close_dir))) DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	if (!entries) {
		close_fd(&copy);
		return fail("tar", "%s", path);
	}
	for (;;) {
		char inner[2 * TAR_NAME + 256];
		errno = 0;
		const struct dirent *e = readdir(entries);
		if (!e)
			return errno ? fail("tar", "%s", path) : 1;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
		int result = walk_entry(w, fd, e->d_name, inner, depth);
		if (result <= 0)
			return result;
	}
}

int tar_create(int dir, int out_fd)
{
	static struct gzip_out out;
	static const char end[2 * TAR_BLOCK];
	struct stat st;
	if (fstat(dir, &st) < 0)
		return fail("tar", "directory");
	struct walk w = {.dev = st.st_dev};
	int result = visit(&w, dir, ".", ".", &st);
	if (result > 0)
		result = walk(&w, dir, ".", 0);
	if (result <= 0)
		return result;
	w.out = &out;
	if (gzip_begin(&out, out_fd) < 0)
		return -1;
	/* Begun: what only the real tar knows cannot be left to it any more. */
	result = visit(&w, dir, ".", ".", &st);
	if (result > 0)
		result = walk(&w, dir, ".", 0);
	if (result <= 0)
		return result < 0 ? -1 : fail_with(EBUSY, "tar", "the directory changed meanwhile");
	return gzip_put(&out, end, sizeof end) < 0 || gzip_end(&out) < 0 ? -1 : 1;
}
