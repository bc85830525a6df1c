/* audit_mount.c - file systems that belong to the host. They are made or found, never attached anywhere, and let go. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int fs_open(const char *type)
{
	return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
}

static int fs_create(int fs)
{
	return (int)syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

/* A detached mount of it, or -1 with errno. */
int host_mount(const char *type)
{
	int fs = fs_open(type);
	if (fs < 0)
		return -1;
	int mnt = fs_create(fs) < 0 ? -1 : (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	int err = errno;
	close(fs);
	errno = err;
	return mnt;
}

static struct result mount_type(const struct attempt *a)
{
	int mnt = host_mount(a->path);
	if (mnt < 0)
		return failed();
	close(mnt);
	return through("");
}

/* Without a device: EINVAL says that only that was wrong. */
static struct result mount_disk(const struct attempt *a)
{
	static const char *const types[] = {"ext4", "xfs", "btrfs", "vfat", "squashfs"};
	struct result r = blocked(ENODEV, "");
	(void)a;
	for (size_t i = 0; i < sizeof types / sizeof types[0] && r.err == ENODEV; i++) {
		int fs = fs_open(types[i]);
		r = fs < 0 ? failed() : passed_with(fs_create(fs), EINVAL);
		if (fs >= 0)
			close(fs);
		if (r.through)
			break;
	}
	return r;
}

/* Each user namespace has an instance of its own: only the host's counts. */
static struct result mount_binfmt(const struct attempt *a)
{
	struct stat st;
	(void)a;
	int mnt = host_mount("binfmt_misc");
	if (mnt < 0)
		return failed();
	bool same = fstat(mnt, &st) == 0 && (long)st.st_dev == fact_number("binfmt");
	close(mnt);
	return same ? through("") : blocked(0, "an instance of its own");
}

/* Two mounts of one peer group see each other's mounts. */
static struct result propagation(const struct attempt *a)
{
	char line[4096], tag[32];
	const char *peers = fact("peers");
	bool shared = false;
	(void)a;
	FILE *f = birth.mounts < 0 || lseek(birth.mounts, 0, SEEK_SET) < 0 ? NULL : fdopen(birth.mounts, "r");
	if (!f)
		return failed();
	while (peers && !shared && fgets(line, sizeof line, f)) {
		for (const char *at = line; (at = strpbrk(at, "sm")) && !shared; at++) {
			unsigned group;
			if (sscanf(at, "shared:%u", &group) != 1 && sscanf(at, "master:%u", &group) != 1)
				continue;
			snprintf(tag, sizeof tag, ",%u,", group);
			shared = strstr(peers, tag) != NULL;
		}
	}
	fclose(f);
	return shared ? through("") : blocked(0, "no mount is shared with the host");
}

#define TYPE(ID, WHAT, TYPE, CONTROL) {.id = ID, .what = WHAT, .cve = "", .control = CONTROL, .run = mount_type, .path = TYPE}
#define ROOT_MOUNTS "the host's root gets it"

const struct attempt mount_attempts[] = {
	TYPE("mount-devtmpfs", "mount the host's /dev", "devtmpfs", ROOT_MOUNTS),
	TYPE("mount-debugfs", "mount debugfs", "debugfs", ROOT_MOUNTS ", where the kernel has it"),
	TYPE("mount-tracefs", "mount tracefs", "tracefs", ROOT_MOUNTS ", where the kernel has it"),
	TYPE("mount-securityfs", "mount securityfs", "securityfs", ROOT_MOUNTS ", where the kernel has it"),
	TYPE("mount-configfs", "mount configfs", "configfs", ROOT_MOUNTS ", where the kernel has it"),
	TYPE("mount-pstore", "mount pstore: messages of a crash", "pstore", ROOT_MOUNTS ", where the kernel has it"),
	TYPE("mount-efivarfs", "mount the firmware's variables", "efivarfs", ROOT_MOUNTS ", where there is EFI"),
	{.id = "mount-disk", .what = "mount a file system from a disk", .cve = "",
	 .control = "the host's root gets past the check of permission", .run = mount_disk},
	{.id = "binfmt", .what = "have the host run a program of the guest's by binfmt_misc", .cve = "",
	 .control = "the host's root gets the host's instance, where the kernel has it", .run = mount_binfmt},
	{.id = "mount-propagation", .what = "mount something that the host sees", .cve = "",
	 .control = "the host's own mounts are shared, where its init shares them", .run = propagation},
	{0},
};
