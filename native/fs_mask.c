/* fs_mask.c - hides a path of the guest. Whatever is masked is opened once without following anything, checked to be
 * what it claims, mounted over by fd, and looked at again (the races of CVE-2025-31133, -52565, -52881). */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "util.h"

int fs_check_kernel(const char *step, int fd, const char *path)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return fail(step, "%s", path);
	bool proc = strncmp(path, "/proc/", 6) == 0, sys = strncmp(path, "/sys/", 5) == 0;
	bool right = proc  ? fs.f_type == PROC_SUPER_MAGIC
		     : sys ? fs.f_type == SYSFS_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC
			   : true;
	return right ? 0 : fail_with(EXDEV, step, "%s: not on the file system it should be on", path);
}

/* The guest's own /dev/null: CRIU can dump a bind of it. */
static int file_mask(int root)
{
	static const struct mount_flags ro = {.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC};
	cleanup_fd int null = fs_open_device("mask", root, "/dev/null", O_PATH, 1, 3);
	if (null < 0)
		return -1;
	return fs_clone("mask", null, "", &ro, -1);
}

/* One empty tmpfs serves all directories: fewer file systems to dump. Without limits it counts no blocks, and df leaves
 * it out; a guest that makes it writable again fills its own memory, as with any tmpfs it mounts. */
static int dir_mask(struct masks *m)
{
	static const struct plan_arg options[] = {{"source=mask", 11}, {"mode=0555", 9}, {"size=0", 6}, {"nr_inodes=0", 11}};
	static const struct mount_flags same = {.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
	if (m->dir < 0)
		return fs_make("mask", "tmpfs", options, sizeof options / sizeof options[0], same.set);
	return fs_clone("mask", m->dir, "", &same, -1);
}

static int verify(int root, const char *path, const struct stat *mask)
{
	cleanup_fd int fd = open_in_root(root, path, O_PATH | O_NOFOLLOW, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail("mask", "%s: look again", path);
	if (st.st_dev != mask->st_dev || st.st_ino != mask->st_ino || st.st_rdev != mask->st_rdev)
		return fail_with(EXDEV, "mask", "%s: the mask is not what is seen there", path);
	return 0;
}

int fs_mask(int root, const char *path, struct masks *m)
{
	cleanup_fd int target = open_in_root(root, path, O_PATH | O_NOFOLLOW, 0);
	if (target < 0)
		return errno == ENOENT ? 0 : fail("mask", "%s", path);
	struct stat st, mask;
	if (fstat(target, &st) < 0)
		return fail("mask", "%s", path);
	if (S_ISLNK(st.st_mode))
		return fail_with(ELOOP, "mask", "%s: it is a symbolic link in the guest", path);
	if (fs_check_kernel("mask", target, path) < 0)
		return -1;
	cleanup_fd int mnt = S_ISDIR(st.st_mode) ? dir_mask(m) : file_mask(root);
	if (mnt < 0)
		return -1;
	if (fstat(mnt, &mask) < 0)
		return fail("mask", "%s", path);
	if (fs_attach("mask", mnt, target, path) < 0 || verify(root, path, &mask) < 0)
		return -1;
	if (S_ISDIR(st.st_mode) && m->dir < 0)
		m->dir = take_fd(&mnt);
	return 0;
}
