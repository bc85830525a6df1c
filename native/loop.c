/* loop.c - an image file becomes a block device: never the same image twice, but by those who only read it. */
#include "loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "clock.h"
#include "util.h"

enum { WAIT_MS = 5000, STEP_MS = 2, TRIES = 64 };

struct bound {
	char device[32];
	unsigned major, minor;
	uint64_t inode;
};

/* Is the device bound to the image of the record? */
static bool still_bound(const struct bound *b)
{
	cleanup_fd int fd = open(b->device, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct loop_info64 info;
	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return false;
	return info.lo_inode == b->inode && major(info.lo_device) == b->major && minor(info.lo_device) == b->minor;
}

/* O_EXCL on a block device fails while a file system is mounted from it. */
static bool clear_unused(const struct bound *b)
{
	cleanup_fd int fd = open(b->device, O_RDONLY | O_EXCL | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	return ioctl(fd, LOOP_CLR_FD, 0) == 0 || errno == ENXIO;
}

int loop_release(const char *step, int rundir)
{
	char buf[4096];
	if (read_file_at(rundir, "loop", buf, sizeof buf) < 0)
		return errno == ENOENT ? 0 : fail(step, "RUNDIR/loop");
	uint64_t deadline = clock_us() + WAIT_MS * 1000ULL;
	for (char *line = buf, *end; (end = strchr(line, '\n')); line = end + 1) {
		struct bound b;
		*end = '\0';
		if (sscanf(line, "1 %31s %u:%u %" SCNu64, b.device, &b.major, &b.minor, &b.inode) != 4)
			continue;
		while (still_bound(&b) && !clear_unused(&b)) {
			if (clock_us() > deadline)
				return fail_with(EBUSY, step, "%s is still in use", b.device);
			sleep_ms(STEP_MS);
		}
	}
	return 0;
}

static int record(int rundir, const char *device, const struct stat *st)
{
	cleanup_fd int fd = openat(rundir, "loop", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	char line[128];
	int n = snprintf(line, sizeof line, "1 %s %u:%u %ju\n", device, major(st->st_dev), minor(st->st_dev), (uintmax_t)st->st_ino);
	if (fd < 0 || n < 0 || write_all(fd, line, (size_t)n) < 0)
		return fail("loop", "RUNDIR/loop");
	return 0;
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* The device that is bound to the image, kept so by the fd; -1 when there is none. Not one that cannot be written to. */
static int open_bound(const struct stat *image, char *name)
{
	__attribute__((cleanup(close_dir))) DIR *devices = opendir("/sys/block");
	struct bound b = {.major = major(image->st_dev), .minor = minor(image->st_dev), .inode = image->st_ino};
	for (struct dirent *e; devices && (e = readdir(devices));) {
		unsigned number;
		char bound[64], read_only[64], flag[8];
		if (sscanf(e->d_name, "loop%u", &number) != 1)
			continue;
		snprintf(bound, sizeof bound, "/sys/block/loop%u/loop", number);
		snprintf(read_only, sizeof read_only, "/sys/block/loop%u/ro", number);
		if (access(bound, F_OK) < 0 || read_file_at(AT_FDCWD, read_only, flag, sizeof flag) < 0 || *flag != '0')
			continue;
		snprintf(b.device, sizeof b.device, "/dev/loop%u", number);
		cleanup_fd int loop = open(b.device, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (loop < 0 || !still_bound(&b))
			continue;
		snprintf(name, 32, "%s", b.device);
		return take_fd(&loop);
	}
	return -1;
}

/* The loop driver keeps this very open file as long as the device is bound, and a flock belongs to the open file:
 * so whoever gets it is the only one who has the image bound, or one of several who only read it. For a shared image
 * *bound is then the device of the one who has it. */
static int open_image(const char *image, struct loop_how how, int *bound, char *name)
{
	cleanup_fd int fd = open(image, (how.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail("loop", "%s", image);
	uint64_t deadline = clock_us() + WAIT_MS * 1000ULL;
	while (flock(fd, (how.read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail("loop", "%s: lock", image);
		if (how.shared && (*bound = open_bound(&st, name)) >= 0)
			break;
		if (clock_us() > deadline)
			return fail_with(EBUSY, "loop", "%s is still in use", image);
		sleep_ms(STEP_MS);
	}
	return take_fd(&fd);
}

static int configure(int loop, int image, const char *path, struct loop_how how)
{
	struct loop_config config = {.fd = (uint32_t)image};
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (how.direct_io ? LO_FLAGS_DIRECT_IO : 0) | (how.read_only ? LO_FLAGS_READ_ONLY : 0);
	snprintf((char *)config.info.lo_file_name, sizeof config.info.lo_file_name, "%s", path);
	if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
		return 0;
	if (errno != EINVAL || !how.direct_io)
		return -1;
	config.info.lo_flags &= ~(uint32_t)LO_FLAGS_DIRECT_IO;
	return ioctl(loop, LOOP_CONFIGURE, &config);
}

int loop_bind(int rundir, const char *image, struct loop_how how, char *name)
{
	cleanup_fd int bound = -1;
	cleanup_fd int file = open_image(image, how, &bound, name);
	if (file < 0 || bound >= 0)
		return file < 0 ? -1 : take_fd(&bound);
	struct stat st;
	if (fstat(file, &st) < 0)
		return fail("loop", "%s", image);
	cleanup_fd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return fail("loop", "/dev/loop-control");
	for (int i = 0; i < TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			return fail("loop", "no free loop device");
		snprintf(name, 32, "/dev/loop%d", number);
		cleanup_fd int loop = open(name, (how.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		if (loop < 0)
			return fail("loop", "%s", name);
		if (configure(loop, file, image, how) == 0)
			return !how.shared && record(rundir, name, &st) < 0 ? -1 : take_fd(&loop);
		if (errno != EBUSY)
			return fail("loop", "%s on %s", image, name);
	}
	return fail_with(EBUSY, "loop", "%s: every free loop device was taken by others", image);
}
