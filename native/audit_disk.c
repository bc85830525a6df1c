/* audit_disk.c - marks on a file that the host would mind. The file has no name and goes with its descriptor. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int nameless_file(void)
{
	const char *dir = fact("root");
	int fd = open(dir ? dir : "/", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || errno != EOPNOTSUPP)
		return fd;
	/* Overlay has it since Linux 6.3. */
	char path[256];
	snprintf(path, sizeof path, "%s/.berth-audit-%d", dir ? dir : "", (int)getpid());
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* Another number than the one it has: what is counted for nobody is not limited. */
static struct result leave_project(const struct attempt *a)
{
	struct fsxattr attr;
	(void)a;
	int fd = nameless_file();
	if (fd < 0)
		return failed();
	bool read_it = ioctl(fd, FS_IOC_FSGETXATTR, &attr) == 0;
	attr.fsx_projid = read_it ? attr.fsx_projid ^ 1 : 0;
	struct result r = read_it && ioctl(fd, FS_IOC_FSSETXATTR, &attr) == 0 ? through("") : failed();
	close(fd);
	return r;
}

static struct result make_immutable(const struct attempt *a)
{
	int flags = 0;
	(void)a;
	int fd = nameless_file();
	if (fd < 0)
		return failed();
	struct result r = failed();
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) {
		r = failed();
	} else {
		int more = flags | FS_IMMUTABLE_FL;
		r = ioctl(fd, FS_IOC_SETFLAGS, &more) == 0 ? through("") : failed();
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	close(fd);
	return r;
}

static struct result trusted_attribute(const struct attempt *a)
{
	(void)a;
	int fd = nameless_file();
	if (fd < 0)
		return failed();
	struct result r = fsetxattr(fd, "trusted.berth.audit", "1", 1, 0) == 0 ? through("") : failed();
	close(fd);
	return r;
}

/* Whose root owns it: in the first user namespace, the host's. */
static struct result setuid_root(const struct attempt *a)
{
	struct stat st, ns;
	(void)a;
	if (stat("/proc/self/ns/user", &ns) < 0)
		return failed();
	int fd = nameless_file();
	if (fd < 0)
		return failed();
	bool host = (long)ns.st_ino == fact_number("userns");
	bool set = fchmod(fd, 04755) == 0 && fstat(fd, &st) == 0 && st.st_uid == 0 && (st.st_mode & S_ISUID);
	struct result r = !set ? failed() : host ? through("") : blocked(0, "owned by an id of the guest's");
	close(fd);
	return r;
}

#define DISK(ID, WHAT, RUN, CONTROL) {.id = ID, .what = WHAT, .cve = "", .control = CONTROL, .run = RUN}

const struct attempt disk_attempts[] = {
	DISK("quota-project", "leave its disk quota by another project id", leave_project,
	     "the host's root sets it, where the file system counts projects"),
	DISK("immutable-file", "make a file that the host cannot remove", make_immutable, "the host's root sets the flag"),
	DISK("trusted-xattr", "set attributes that the host's tools trust", trusted_attribute, "the host's root sets one"),
	DISK("setuid-root", "leave a set-uid program of the host's root on a disk", setuid_root, "the host's root makes one"),
	{0},
};
