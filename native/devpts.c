/* devpts.c - makes the guest's console. */
#include "devpts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "fs.h"
#include "util.h"

static int mount_instance(void)
{
	static const struct plan_arg options[] = {
		{"source=berth", 12}, {"newinstance", 11}, {"max=1", 5}, {"mode=0620", 9}, {"ptmxmode=0000", 13}};
	if (mkdir(DEVPTS_DIR, 0755) < 0 && errno != EEXIST)
		return fail("console", DEVPTS_DIR);
	cleanup_fd int mnt = fs_make("console", "devpts", options, sizeof options / sizeof options[0],
				     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (mnt < 0)
		return -1;
	if (move_mount(mnt, "", AT_FDCWD, DEVPTS_DIR, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail("console", DEVPTS_DIR);
	return 0;
}

int devpts_reopen(struct devpts *pty)
{
	close_fd(&pty->slave);
	pty->slave = open(DEVPTS_DIR "/0", O_RDWR | O_NOCTTY | O_CLOEXEC);
	return pty->slave < 0 ? -1 : 0;
}

int devpts_resize(const struct devpts *pty, uint16_t rows, uint16_t columns)
{
	struct winsize size = {.ws_row = rows, .ws_col = columns};
	return ioctl(pty->master, TIOCSWINSZ, &size);
}

int devpts_make(const struct plan *p, struct devpts *out)
{
	const struct plan_record *r = plan_find(p, OP_CONSOLE);
	*out = (struct devpts){-1, -1};
	if (!r)
		return 0;
	uint64_t uid, gid, rows, columns;
	if (!plan_u64(&r->args[2], UINT32_MAX - 1, &uid) || !plan_u64(&r->args[3], UINT32_MAX - 1, &gid) ||
	    !plan_u64(&r->args[4], UINT16_MAX, &rows) || !plan_u64(&r->args[5], UINT16_MAX, &columns))
		return fail_with(EINVAL, "console", "bad arguments");
	if (mount_instance() < 0)
		return -1;
	int unlock = 0, number;
	out->master = open(DEVPTS_DIR "/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (out->master < 0 || ioctl(out->master, TIOCSPTLCK, &unlock) < 0 || ioctl(out->master, TIOCGPTN, &number) < 0)
		return fail("console", DEVPTS_DIR "/ptmx");
	if (number != 0)
		return fail_with(EPROTO, "console", "the first pty is number %d", number);
	if (devpts_reopen(out) < 0 || fchown(out->slave, (uid_t)uid, (gid_t)gid) < 0 || fchmod(out->slave, 0620) < 0)
		return fail("console", DEVPTS_DIR "/0");
	if (devpts_resize(out, (uint16_t)rows, (uint16_t)columns) < 0)
		return fail("console", "window size");
	return 0;
}
