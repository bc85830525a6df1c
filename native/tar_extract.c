/* tar_extract.c - what tar_create wrote, back into a directory. The archive may come from another host: no name leads out. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tar.h"
#include "util.h"

/* The numbers and names of a header. */
struct member {
	char name[TAR_NAME + 1], link[TAR_NAME + 1];
	char type;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	off_t size;
	struct timespec times[2];
};

static bool number(const char *field, size_t size, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < size && field[i] != '\0' && field[i] != ' '; i++) {
		if (field[i] < '0' || field[i] > '7')
			return false;
		*out = *out << 3 | (uint64_t)(field[i] - '0');
	}
	return true;
}

/* All bytes of a header are in its sum, its own field as blanks. */
static bool is_whole(const struct tar_header *h)
{
	uint64_t said;
	uint32_t sum = 0;
	for (size_t i = 0; i < sizeof *h; i++)
		sum += ((const uint8_t *)h)[i];
	for (size_t i = 0; i < sizeof h->checksum; i++)
		sum += (uint32_t)' ' - (uint8_t)h->checksum[i];
	return number(h->checksum, sizeof h->checksum, &said) && said == sum;
}

/* The end is two blocks of zeros. */
static bool is_end(const struct tar_header *h)
{
	static const struct tar_header zeros;
	return memcmp(h, &zeros, sizeof zeros) == 0;
}

static int damaged(void)
{
	return fail_with(EPROTO, "tar", "the archive is damaged");
}

/* 1 a member, 0 the end. */
static int next(struct gzip_in *in, struct member *m)
{
	struct tar_header h;
	uint64_t mode, uid, gid, size, mtime;
	if (gzip_get(in, &h, sizeof h) < 0)
		return -1;
	if (is_end(&h))
		return 0;
	if (!is_whole(&h) || memcmp(h.magic, "ustar", 6) != 0 || !number(h.mode, sizeof h.mode, &mode) || !number(h.uid, sizeof h.uid, &uid) ||
	    !number(h.gid, sizeof h.gid, &gid) || !number(h.size, sizeof h.size, &size) ||
	    !number(h.mtime, sizeof h.mtime, &mtime))
		return damaged();
	*m = (struct member){
		.type = h.type,
		.mode = (mode_t)mode & 07777,
		.uid = (uid_t)uid,
		.gid = (gid_t)gid,
		.size = (off_t)size,
		.times = {{.tv_sec = (time_t)mtime}, {.tv_sec = (time_t)mtime}},
	};
	memcpy(m->name, h.name, sizeof h.name);
	memcpy(m->link, h.link, sizeof h.link);
	size_t length = strlen(m->name);
	if (length > 1 && m->name[length - 1] == '/')
		m->name[length - 1] = '\0';
	return 1;
}

/* Opens the directory that holds it and gives its last name. */
static int open_parent(int root, struct member *m, const char **name)
{
	char *slash = strrchr(m->name, '/');
	if (!slash) {
		*name = m->name;
		return open_in_root(root, ".", O_PATH | O_DIRECTORY, 0);
	}
	*slash = '\0';
	*name = slash + 1;
	int fd = open_in_root(root, m->name, O_PATH | O_DIRECTORY, 0);
	*slash = '/';
	return fd;
}

static int copy_content(struct gzip_in *in, int fd, off_t size)
{
	char block[16 * TAR_BLOCK];
	for (off_t left = size; left > 0;) {
		size_t want = left < (off_t)sizeof block ? (size_t)left : sizeof block;
		if (gzip_get(in, block, want) < 0)
			return -1;
		if (fd >= 0 && write_all(fd, block, want) < 0)
			return fail("tar", "write");
		left -= (off_t)want;
	}
	return gzip_get(in, block, (TAR_BLOCK - (size_t)size % TAR_BLOCK) % TAR_BLOCK);
}

static int make_file(struct gzip_in *in, int parent, const char *name, const struct member *m)
{
	cleanup_fd int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail("tar", "%s", m->name);
	if (copy_content(in, fd, m->size) < 0)
		return -1;
	if (fchown(fd, m->uid, m->gid) < 0 || fchmod(fd, m->mode) < 0 || futimens(fd, m->times) < 0)
		return fail("tar", "%s", m->name);
	return 0;
}

/* The directory of the archive itself is there. Times of directories are set when nothing comes into them any more. */
static int make_directory(int parent, const char *name, const struct member *m)
{
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return fail("tar", "%s", m->name);
	cleanup_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || fchown(fd, m->uid, m->gid) < 0 || fchmod(fd, m->mode) < 0 ? fail("tar", "%s", m->name) : 0;
}

static int make_node(int parent, const char *name, const struct member *m)
{
	if (m->type == '2')
		return symlinkat(m->link, parent, name);
	/* No other device is in our archives, whatever numbers one names. */
	return mknodat(parent, name, (m->type == '3' ? S_IFCHR : S_IFIFO) | 0600, 0);
}

static int make_other(int parent, const char *name, const struct member *m)
{
	bool link = m->type == '2';
	if (make_node(parent, name, m) < 0)
		return fail("tar", "%s", m->name);
	if (fchownat(parent, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0 || (!link && fchmodat(parent, name, m->mode, 0) < 0) ||
	    utimensat(parent, name, m->times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail("tar", "%s", m->name);
	return 0;
}

static int make(struct gzip_in *in, int root, struct member *m)
{
	const char *name;
	cleanup_fd int parent = open_parent(root, m, &name);
	if (parent < 0)
		return fail("tar", "%s", m->name);
	if (strcmp(name, "..") == 0)
		return damaged();
	switch (m->type) {
	case '0':
		return make_file(in, parent, name, m);
	case '5':
		return make_directory(parent, name, m);
	case '2':
	case '3':
	case '6':
		return make_other(parent, name, m);
	default:
		return damaged();
	}
}

static int set_time(struct gzip_in *in, int root, const struct member *m)
{
	if (m->type == '0')
		return copy_content(in, -1, m->size);
	if (m->type != '5')
		return 0;
	cleanup_fd int fd = open_in_root(root, m->name, O_RDONLY | O_DIRECTORY, 0);
	return fd < 0 || futimens(fd, m->times) < 0 ? fail("tar", "%s", m->name) : 0;
}

int tar_extract(int in_fd, int dir)
{
	for (int pass = 0; pass < 2; pass++) {
		struct gzip_in in;
		struct member m;
		int more;
		if (!gzip_is_ours(&in, in_fd))
			return 0;
		while ((more = next(&in, &m)) > 0)
			if ((pass == 0 ? make(&in, dir, &m) : set_time(&in, dir, &m)) < 0)
				return -1;
		if (more < 0)
			return -1;
	}
	return 1;
}
