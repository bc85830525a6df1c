/* tree_data.c - the content of a regular file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tree_copy.h"
#include "util.h"

enum { CHUNK = 256 * 1024 };

/* Shares the blocks where the file system can: btrfs, XFS. */
static int try_clone(struct copy *c, int src, int dst)
{
	if (c->no_clone)
		return 0;
	if (ioctl(dst, FICLONE, src) == 0)
		return 1;
	switch (errno) {
	case EOPNOTSUPP:
	case ENOTTY:
	case EXDEV:
		c->no_clone = true;
		return 0;
	case EINVAL: /* not these two files */
		return 0;
	default:
		return fail("copy-data", "clone");
	}
}

static int copy_range(struct copy *c, int src, int dst, off_t at, off_t end)
{
	static char buf[CHUNK];
	while (at < end) {
		size_t want = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
		ssize_t got = pread(src, buf, want, at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail("copy-data", "read");
		if (got == 0) /* shorter than it was: the next pass sees that, and nothing older may show */
			return ftruncate(dst, at) < 0 ? fail("copy-data", "size") : 0;
		for (ssize_t done = 0; done < got;) {
			ssize_t n = pwrite(dst, buf + done, (size_t)(got - done), at + done);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return fail("copy-data", "write");
			done += n;
		}
		at += got;
		c->bytes += (uint64_t)got;
		if (copy_progress(c) < 0)
			return -1;
	}
	return 0;
}

static int copy_extents(struct copy *c, int src, int dst, off_t size)
{
	for (off_t at = 0, end; at < size; at = end) {
		if ((at = lseek(src, at, SEEK_DATA)) < 0 && errno == ENXIO)
			break;
		if (at < 0 || (end = lseek(src, at, SEEK_HOLE)) < 0)
			return fail("copy-data", "seek");
		if (copy_range(c, src, dst, at, end < size ? end : size) < 0)
			return -1;
	}
	return 0;
}

/* An earlier content is written over, which spares the file system to free and find blocks; but holes need it gone. */
static int write_content(struct copy *c, int src, int dst, const struct stat *st)
{
	if (st->st_blocks * 512 >= st->st_size)
		return copy_range(c, src, dst, 0, st->st_size);
	if (ftruncate(dst, 0) < 0)
		return fail("copy-data", "empty");
	return copy_extents(c, src, dst, st->st_size);
}

int copy_data(struct copy *c, int src, int dst, const struct stat *st)
{
	struct stat now;
	int cloned = st->st_size == 0 ? 1 : try_clone(c, src, dst);
	if (cloned < 0 || (cloned == 0 && write_content(c, src, dst, st) < 0))
		return -1;
	if (fstat(dst, &now) < 0 || (now.st_size != st->st_size && ftruncate(dst, st->st_size) < 0))
		return fail("copy-data", "size");
	return 0;
}
