/* fuzz_tar.c - an archive that another host sent of a file system in memory: whatever it says, all that is made is a plain name in a
 * directory that was found below the root, and no device but 0:0. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tar.h"
#include "../util.h"

/* GZIP_HEAD: of the file and of its first block. */
enum { ROOT = 1000000, BELOW, ARCHIVE, GZIP_HEAD = 15 };

/* What is read, and what a seed writes. */
static struct {
	const uint8_t *bytes;
	size_t size, at;
} archive;
static struct {
	uint8_t *bytes;
	size_t size;
} made;

static ssize_t fuzz_pread(int fd, void *to, size_t size, off_t at)
{
	if (fd != ARCHIVE || at < 0)
		abort();
	size_t from = (size_t)at < archive.size ? (size_t)at : archive.size;
	size_t n = size < archive.size - from ? size : archive.size - from;
	memcpy(to, archive.bytes + from, n);
	return (ssize_t)n;
}

static ssize_t fuzz_read(int fd, void *to, size_t size)
{
	ssize_t n = fuzz_pread(fd, to, size, (off_t)archive.at);
	archive.at += (size_t)n;
	return n;
}

static off_t fuzz_lseek(int fd, off_t at, int whence)
{
	if (fd != ARCHIVE || whence != SEEK_SET)
		abort();
	archive.at = (size_t)at;
	return at;
}

static int fuzz_write_all(int fd, const void *bytes, size_t size)
{
	if (fd == ARCHIVE) {
		memcpy(made.bytes + made.size, bytes, size);
		made.size += size;
	} else if (fd != BELOW) {
		abort();
	}
	return 0;
}

/* What is below the root is no file that could be closed. */
static void fuzz_close_fd(int *fd)
{
	*fd = -1;
}

static void check_name(int parent, const char *name)
{
	if (parent != BELOW || strchr(name, '/') || strcmp(name, "..") == 0)
		abort();
}

static int fuzz_open_in_root(int root, const char *path, int flags, mode_t mode)
{
	(void)flags;
	if (root != ROOT || mode != 0)
		abort();
	return path[0] == '\0' ? -1 : BELOW;
}

static int fuzz_openat(int parent, const char *name, int flags, ...)
{
	check_name(parent, name);
	if (!(flags & O_NOFOLLOW) || (flags & O_CREAT && !(flags & O_EXCL)))
		abort();
	return BELOW;
}

static int make_node_of(int parent, const char *name, mode_t mode, dev_t dev)
{
	check_name(parent, name);
	if (dev != 0 || !(S_ISCHR(mode) || S_ISFIFO(mode)))
		abort();
	return 0;
}

static int at_name(int parent, const char *name)
{
	check_name(parent, name);
	return 0;
}

static int of_file(int fd)
{
	return fd == BELOW ? 0 : -1;
}

#define read fuzz_read
#define pread fuzz_pread
#define lseek fuzz_lseek
#define write_all fuzz_write_all
#define close_fd fuzz_close_fd

#define openat fuzz_openat
#define open_in_root fuzz_open_in_root
#define mkdirat(parent, name, mode) at_name(parent, name)
#define mknodat make_node_of
#define symlinkat(link, parent, name) at_name(parent, name)
#define fchownat(parent, name, uid, gid, flags) at_name(parent, name)
#define fchmodat(parent, name, mode, flags) at_name(parent, name)
#define utimensat(parent, name, times, flags) at_name(parent, name)
#define fchown(fd, uid, gid) of_file(fd)
#define fchmod(fd, mode) of_file(fd)
#define futimens(fd, times) of_file(fd)
#include "../tar_gzip.c"
#include "../tar_extract.c"

/* A header with another sum would be the end of it: that all are looked at is no news. */
static void set_sums(uint8_t *bytes, size_t size)
{
	for (size_t at = GZIP_HEAD; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
		struct tar_header h;
		unsigned sum = 0;
		memcpy(&h, bytes + at, sizeof h);
		if (memcmp(h.magic, "ustar", 6) != 0)
			continue;
		memset(h.checksum, ' ', sizeof h.checksum);
		for (size_t i = 0; i < sizeof h; i++)
			sum += ((const uint8_t *)&h)[i];
		(void)snprintf(h.checksum, sizeof h.checksum, "%06o", sum);
		memcpy(bytes + at, &h, sizeof h);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = fuzz_copy(data, size);
	set_sums(copy, size);
	archive.bytes = copy;
	archive.size = size;
	archive.at = 0;
	if (tar_extract(ARCHIVE, ROOT) == 0 && archive.at != 0)
		abort(); /* the real tar reads it from its start */
	free(copy);
	return 0;
}

static void add(struct gzip_out *out, const char *name, char type, const char *link, size_t size)
{
	static const char content[TAR_BLOCK];
	struct tar_header h = {.mode = "0000644", .uid = "0000000", .gid = "0000000", .mtime = "00000000000", .type = type, .magic = "ustar"};
	(void)snprintf(h.name, sizeof h.name, "%s", name);
	(void)snprintf(h.link, sizeof h.link, "%s", link);
	(void)snprintf(h.size, sizeof h.size, "%011zo", size);
	if (gzip_put(out, &h, sizeof h) < 0 || (size > 0 && gzip_put(out, content, sizeof content) < 0))
		abort();
}

size_t fuzz_seed(size_t i, uint8_t *out)
{
	static const char end[2 * TAR_BLOCK];
	static struct gzip_out archived;
	if (i > 2)
		return 0;
	made.bytes = out;
	made.size = 0;
	if (gzip_begin(&archived, ARCHIVE) < 0)
		abort();
	add(&archived, "./", '5', "", 0);
	if (i > 0) {
		add(&archived, "./a/", '5', "", 0);
		add(&archived, "./a/file", '0', "", 17);
		add(&archived, "./a/link", '2', "../../etc", 0);
	}
	if (i > 1) {
		add(&archived, "./a/../../out", '0', "", 512);
		add(&archived, "./fifo", '6', "", 0);
		add(&archived, "./none", '3', "", 0);
	}
	if (gzip_put(&archived, end, sizeof end) < 0 || gzip_end(&archived) < 0)
		abort();
	return made.size;
}
