/* fs_mount.c - the mount API's primitives: make, clone, attach. */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "util.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

static const struct {
	const char *word;
	uint64_t set;
} words[] = {
	{"ro", MOUNT_ATTR_RDONLY},      {"nosuid", MOUNT_ATTR_NOSUID},       {"nodev", MOUNT_ATTR_NODEV},
	{"noexec", MOUNT_ATTR_NOEXEC},  {"relatime", MOUNT_ATTR_RELATIME},   {"noatime", MOUNT_ATTR_NOATIME},
	{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW},
};

static bool add_flag(const char *word, size_t len, struct mount_flags *out)
{
	if (len == 5 && memcmp(word, "idmap", 5) == 0)
		return out->idmap = true;
	if (len == 3 && memcmp(word, "rec", 3) == 0)
		return out->rec = true;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strlen(words[i].word) == len && memcmp(words[i].word, word, len) == 0) {
			out->set |= words[i].set;
			return true;
		}
	}
	return false;
}

int fs_flags(const char *step, const char *list, struct mount_flags *out)
{
	while (*list) {
		size_t len = strcspn(list, ",");
		if (len > 0 && !add_flag(list, len, out))
			return fail_with(EINVAL, step, "unknown mount attribute %.*s", (int)len, list);
		list += len + (list[len] == ',');
	}
	return 0;
}

/* Adds what the kernel said about a file system context to the failure just recorded. */
static int with_messages(int fsfd)
{
	char line[384];
	ssize_t n;
	while ((n = read(fsfd, line, sizeof line - 1)) > 0) {
		line[n] = '\0';
		while (n > 0 && line[n - 1] == '\n')
			line[--n] = '\0';
		size_t used = strlen(failure.text);
		snprintf(failure.text + used, sizeof failure.text - used, ": %s", n > 2 && line[1] == ' ' ? line + 2 : line);
	}
	return -1;
}

/* One KEY=VALUE or KEY. The kernel takes at most 255 bytes of a value. */
static int set_option(const char *step, int fsfd, const char *fstype, const char *option)
{
	const char *eq = strchr(option, '=');
	if (!eq) {
		if (fsconfig(fsfd, FSCONFIG_SET_FLAG, option, NULL, 0) < 0)
			return fail(step, "%s: option %s", fstype, option), with_messages(fsfd);
		return 0;
	}
	char key[64];
	size_t len = (size_t)(eq - option);
	if (len == 0 || len >= sizeof key)
		return fail_with(EINVAL, step, "%s: option %s", fstype, option);
	memcpy(key, option, len);
	key[len] = '\0';
	if (fsconfig(fsfd, FSCONFIG_SET_STRING, key, eq + 1, 0) < 0)
		return fail(step, "%s: option %s", fstype, option), with_messages(fsfd);
	return 0;
}

int fs_make(const char *step, const char *fstype, const struct plan_arg *options, size_t count, uint64_t attributes)
{
	cleanup_fd int fsfd = fsopen(fstype, FSOPEN_CLOEXEC);
	if (fsfd < 0)
		return fail(step, "file system %s", fstype);
	for (size_t i = 0; i < count; i++)
		if (options[i].len > 0 && set_option(step, fsfd, fstype, options[i].data) < 0)
			return -1;
	if (fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fail(step, "%s", fstype), with_messages(fsfd);
	int mnt = fsmount(fsfd, FSMOUNT_CLOEXEC, (unsigned)attributes);
	if (mnt < 0)
		return fail(step, "%s: attributes %#llx", fstype, (unsigned long long)attributes), with_messages(fsfd);
	return mnt;
}

int fs_clone(const char *step, int dir, const char *path, const struct mount_flags *flags, int userns)
{
	unsigned rec = flags->rec ? AT_RECURSIVE : 0;
	unsigned empty = *path ? 0 : AT_EMPTY_PATH;
	cleanup_fd int mnt = open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | empty | rec);
	if (mnt < 0)
		return fail(step, "%s", *path ? path : "clone of a mount");
	/* Private: what the host mounts below the source later is not the guest's, and CRIU cannot restore a slave of it. */
	struct mount_attr attr = {.attr_set = flags->set, .propagation = MS_PRIVATE};
	if (flags->set & MOUNT_ATTR__ATIME)
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	if (flags->idmap && userns >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)userns;
	}
	if (mount_setattr(mnt, "", AT_EMPTY_PATH | rec, &attr, sizeof attr) < 0)
		return fail(step, "%s: attributes%s", *path ? path : "clone of a mount",
			    flags->idmap ? " (can its file system be idmapped?)" : "");
	return take_fd(&mnt);
}

int fs_attach(const char *step, int mount, int target, const char *text)
{
	if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return fail(step, "%s: cannot be mounted there", text);
	return 0;
}
