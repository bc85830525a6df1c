/* audit_device.c - devices of the host, by nodes that the attacker makes. A node is opened, at most read, and removed. No device
 * is among them that does something when it is opened (a watchdog would). */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct result open_node(const char *dir, mode_t type, dev_t dev, bool read_it)
{
	char path[256], byte[512];
	snprintf(path, sizeof path, "%s/.berth-audit-%d", dir, (int)getpid());
	if (mknod(path, type | 0600, dev) < 0)
		return failed();
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct result r = fd < 0 ? failed() : through("");
	unlink(path);
	if (fd >= 0 && read_it && pread(fd, byte, sizeof byte, 0) != sizeof byte)
		r = failed();
	if (fd >= 0)
		close(fd);
	return r;
}

/* On a file system of its own (which has no devices in a user namespace), then on the guest's root. */
static struct result open_device(mode_t type, dev_t dev, bool read_it)
{
	const char *dirs[] = {scratch(), fact("root")};
	struct result r = blocked(0, "no place for a node");
	for (int i = 0; i < 2 && !r.through; i++) {
		struct result next = dirs[i] ? open_node(dirs[i], type, dev, read_it) : r;
		/* The first says more, unless it is only that its file system has no devices. */
		r = i == 0 || next.through || r.err == EACCES ? next : r;
	}
	return r;
}

/* .number is major << 8 | minor. */
static struct result char_device(const struct attempt *a)
{
	return open_device(S_IFCHR, makedev((unsigned)a->number >> 8, (unsigned)a->number & 0xff), false);
}

static struct result host_disk(const struct attempt *a)
{
	const char *disk = fact("disk");
	unsigned major, minor;
	(void)a;
	if (!disk || sscanf(disk, "%u:%u", &major, &minor) != 2)
		return blocked(ENODEV, "the host has no disk");
	return open_device(S_IFBLK, makedev(major, minor), true);
}

/* The disk's own node, as the guest may have got it from somebody. */
static struct result leaked_disk(const struct attempt *a)
{
	const char *disk = fact("disk");
	char path[64];
	(void)a;
	if (!disk)
		return blocked(ENODEV, "the host has no disk");
	snprintf(path, sizeof path, "/dev/%s", fact("disk-name") ? fact("disk-name") : "");
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return failed();
	bool block = fstat(fd, &st) == 0 && S_ISBLK(st.st_mode);
	close(fd);
	return block ? through("") : blocked(0, "not a disk");
}

#define DEVICE(ID, WHAT, MAJOR, MINOR, CONTROL) \
	{.id = ID, .what = WHAT, .cve = "", .control = CONTROL, .run = char_device, .number = (MAJOR) << 8 | (MINOR)}
#define ROOT_OPENS "the host's root makes the node and opens it"

const struct attempt device_attempts[] = {
	DEVICE("dev-mem", "read physical memory by a node of its own (mem)", 1, 1, ROOT_OPENS),
	DEVICE("dev-port", "use i/o ports by a node of its own (port)", 1, 4, ROOT_OPENS),
	DEVICE("dev-kmsg", "read and forge the kernel's log by a node of its own (kmsg)", 1, 11, ROOT_OPENS),
	DEVICE("dev-console", "write to the host's console", 5, 1, ROOT_OPENS ", where there is a console"),
	DEVICE("dev-screen", "read the host's screen", 7, 0, ROOT_OPENS ", where there is a screen"),
	DEVICE("dev-input", "read the host's keyboard", 13, 64, ROOT_OPENS ", where there is one"),
	DEVICE("dev-uinput", "type on the host's keyboard", 10, 223, ROOT_OPENS ", where the kernel has uinput"),
	DEVICE("dev-loop-control", "make loop devices", 10, 237, ROOT_OPENS),
	DEVICE("dev-mapper", "make mapped devices", 10, 236, ROOT_OPENS ", where the kernel has them"),
	DEVICE("dev-msr", "change the processor's registers", 202, 0, ROOT_OPENS ", where the kernel has msr"),
	DEVICE("dev-nvram", "change the machine's nvram", 10, 144, ROOT_OPENS ", where there is one"),
	{.id = "host-disk", .what = "read the host's disk by a node of its own", .cve = "", .control = "the host's root reads a sector",
	 .run = host_disk},
	{.id = "host-disk-node", .what = "open the host's disk in /dev", .cve = "", .control = "the host's root opens it",
	 .run = leaked_disk},
	{0},
};
