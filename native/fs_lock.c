/* fs_lock.c - makes the attributes of a host's mount stick in the guest.
 *
 * A mount that is moved into a guest is the guest's: its root could remount it read-write. The kernel locks the
 * attributes (MNT_LOCK_READONLY and the like) of mounts that are copied into a mount namespace of a less privileged
 * user namespace, and a clone keeps the locks. So a process of a moment goes through such a copy: it attaches the
 * mount in a mount namespace of its own, joins the guest's user namespace, copies the mount namespace, and clones. */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys.h"
#include "util.h"

/* In the process of a moment, which shares the fds of the launcher: puts the locked clone in the place of mount. */
static int replace_with_locked(int mount, int userns, const char *place)
{
	if (unshare(CLONE_NEWNS) < 0 || move_mount(mount, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    setns(userns, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0)
		return errno;
	cleanup_fd int locked = open_tree(AT_FDCWD, place, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return locked < 0 || dup3(locked, mount, O_CLOEXEC) < 0 ? errno : 0;
}

int fs_lock(const char *step, int mount, int userns)
{
	struct stat st;
	if (fstat(mount, &st) < 0)
		return fail(step, "a mount of the host");
	struct clone_args args = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};
	pid_t pid = sys_clone3(&args);
	if (pid == 0) /* an errno fits into an exit status; the places are only there to hold it */
		_exit(replace_with_locked(mount, userns, S_ISDIR(st.st_mode) ? "/run" : "/proc/version"));
	if (pid < 0)
		return fail(step, "a process to lock its attributes");
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail(step, "locking its attributes");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return fail_with(WIFEXITED(status) ? WEXITSTATUS(status) : 0, step, "locking its attributes");
	return 0;
}
