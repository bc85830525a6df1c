/* fs_guest.c - the guest's mounts and files, made by the guest-to-be inside its own namespaces, with its own ids. */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util.h"

int fs_open_device(const char *step, int root, const char *path, int flags, unsigned major, unsigned minor)
{
	/* Looked at before it is opened for use: opening a device can do things. */
	cleanup_fd int seen = open_in_root(root, path, O_PATH | O_NOFOLLOW, 0);
	struct stat st;
	if (seen < 0 || fstat(seen, &st) < 0)
		return fail(step, "%s", path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(major, minor))
		return fail_with(ENODEV, step, "%s: it is not the character device %u:%u", path, major, minor);
	if (flags & O_PATH)
		return take_fd(&seen);
	int fd = open_in_root(root, path, flags | O_NOFOLLOW | O_NOCTTY, 0);
	return fd < 0 ? fail(step, "%s", path) : fd;
}

/* The place for a mount; a missing one is made, as a directory or as an empty file. */
static int open_target(const char *step, int root, const char *path, bool file)
{
	int fd = open_in_root(root, path, O_PATH, 0);
	if (fd < 0 && errno == ENOENT) {
		if (fs_parents(step, root, path, !file) < 0)
			return -1;
		if (file) {
			cleanup_fd int made = open_in_root(root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
			if (made < 0)
				return fail(step, "%s", path);
		}
		fd = open_in_root(root, path, O_PATH, 0);
	}
	if (fd < 0 && errno == ELOOP)
		return fail(step, "%s: a part of this path is a symbolic link in the guest", path);
	return fd < 0 ? fail(step, "%s", path) : fd;
}

static int guest_mount(int root, const struct plan_record *r)
{
	const char *fstype = r->args[0].data, *path = r->args[1].data;
	struct mount_flags flags = {0};
	if (fs_flags("mount", r->args[2].data, &flags) < 0)
		return -1;
	cleanup_fd int target = open_target("mount", root, path, false);
	if (target < 0)
		return -1;
	cleanup_fd int mnt = fs_make("mount", fstype, r->args + 3, (size_t)r->argc - 3, flags.set);
	if (mnt < 0)
		return fail_about(path);
	return fs_attach("mount", mnt, target, path);
}

/* Binds path onto itself with the flags. */
static int bind_self(const char *step, int root, const char *path, uint64_t set, bool absent_is_fine)
{
	const struct mount_flags flags = {.set = set, .rec = false};
	cleanup_fd int target = open_in_root(root, path, O_PATH, 0);
	if (target < 0)
		return errno == ENOENT && absent_is_fine ? 0 : fail(step, "%s", path);
	if (fs_check_kernel(step, target, path) < 0)
		return -1;
	/* Recursive: what hangs below stays in sight; the flags go on the top alone. */
	cleanup_fd int mnt = open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	struct mount_attr attr = {.attr_set = flags.set, .propagation = MS_PRIVATE};
	if (mnt < 0 || mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
		return fail(step, "%s", path);
	return fs_attach(step, mnt, target, path);
}

/* A mount made by the host. */
static int bind_given(const char *step, int root, const char *path, int (*next)(void *), void *arg)
{
	cleanup_fd int mnt = next(arg);
	struct stat st;
	if (mnt < 0)
		return -1;
	if (fstat(mnt, &st) < 0)
		return fail(step, "%s", path);
	cleanup_fd int target = open_target(step, root, path, !S_ISDIR(st.st_mode));
	struct stat there;
	if (target < 0)
		return -1;
	if (fstat(target, &there) < 0)
		return fail(step, "%s", path);
	if (S_ISDIR(st.st_mode) != S_ISDIR(there.st_mode))
		return fail_with(S_ISDIR(st.st_mode) ? ENOTDIR : EISDIR, step, "%s: it is %s in the guest, and the source is not", path,
				 S_ISDIR(there.st_mode) ? "a directory" : "a file");
	return fs_attach(step, mnt, target, path);
}

static int sysctl(int root, const struct plan_record *r)
{
	char path[512];
	bool must = strcmp(r->args[2].data, "must") == 0;
	int n = snprintf(path, sizeof path, "/proc/sys/%s", r->args[0].data);
	if (n < 0 || (size_t)n >= sizeof path)
		return fail_with(ENAMETOOLONG, "sysctl", "%s", r->args[0].data);
	cleanup_fd int fd = open_in_root(root, path, O_WRONLY, 0);
	if (fd >= 0 && fs_check_kernel("sysctl", fd, path) < 0)
		return -1;
	if (fd < 0 || write(fd, r->args[1].data, r->args[1].len) != (ssize_t)r->args[1].len)
		return must ? fail("sysctl", "%s = %s", r->args[0].data, r->args[1].data) : 0;
	return 0;
}

/* Has the file these bytes and this mode already? Spares a copy up. */
static bool same_content(int root, const char *path, const struct stat *st, const struct plan_arg *content, uint32_t mode)
{
	if ((uint64_t)st->st_size != content->len || (st->st_mode & 07777) != mode)
		return false;
	cleanup_fd int fd = open_in_root(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	char buf[4096];
	uint32_t at = 0;
	while (fd >= 0 && at < content->len) {
		ssize_t n = read(fd, buf, sizeof buf);
		if (n <= 0 || (uint64_t)n > content->len - at || memcmp(buf, content->data + at, (size_t)n) != 0)
			return false;
		at += (uint32_t)n;
	}
	return fd >= 0;
}

static int write_content(int fd, const char *path, const struct plan_arg *content, uint32_t mode)
{
	if (fd < 0)
		return fail("file", "%s", path);
	if (write_all(fd, content->data, content->len) < 0)
		return fail("file", "%s: write", path);
	if (fchmod(fd, mode) < 0)
		return fail("file", "%s: mode", path);
	return 0;
}

static int guest_file(int root, const struct plan_record *r)
{
	const char *path = r->args[0].data, *when = r->args[2].data, *base;
	const struct plan_arg *content = &r->args[3];
	uint32_t mode;
	if (!plan_octal(&r->args[1], 07777, &mode))
		return fail_with(EINVAL, "file", "%s: bad mode", path);
	if (fs_parents("file", root, path, false) < 0)
		return -1;
	cleanup_fd int parent = fs_parent("file", root, path, &base);
	if (parent < 0)
		return -1;
	struct stat st;
	bool there = fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!there && errno != ENOENT)
		return fail("file", "%s", path);
	if (there && strcmp(when, "missing") == 0)
		return 0;
	if (there && S_ISREG(st.st_mode)) {
		if ((strcmp(when, "empty") == 0 && st.st_size > 0) || same_content(root, path, &st, content, mode))
			return 0;
		cleanup_fd int fd = openat(parent, base, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
		return write_content(fd, path, content, mode);
	}
	if (there && unlinkat(parent, base, 0) < 0)
		return fail("file", "%s: what is there cannot be removed", path);
	cleanup_fd int fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	return write_content(fd, path, content, mode);
}

int fs_guest(const struct plan *p, int root, int (*next)(void *), void *arg)
{
	struct masks masks = {-1};
	int result = 0;
	for (uint32_t i = 0; i < p->count && result == 0; i++) {
		const struct plan_record *r = &p->records[i];
		const char *first = r->argc ? r->args[0].data : "";
		switch (r->op) {
		case OP_MOUNT:
			result = guest_mount(root, r);
			break;
		case OP_BIND_SELF:
			result = bind_self("bind-self", root, first, 0, false);
			break;
		case OP_BIND_HOST:
			result = bind_given("bind-host", root, r->args[1].data, next, arg);
			break;
		case OP_BIND_CONSOLE:
			result = bind_given("bind-console", root, first, next, arg);
			break;
		case OP_MASK:
			result = fs_mask(root, first, &masks);
			break;
		case OP_READONLY:
			result = bind_self("readonly", root, first, MOUNT_ATTR_RDONLY, true);
			break;
		case OP_FILE:
			result = guest_file(root, r);
			break;
		case OP_SYSCTL:
			result = sysctl(root, r);
			break;
		default:
			break;
		}
	}
	close_fd(&masks.dir);
	return result;
}
