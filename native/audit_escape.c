/* audit_escape.c - out of the root directory, and by what the host left open on the way in. */
#include "audit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static struct result secret(bool found)
{
	return found ? through("") : blocked(0, "not there");
}

static struct result read_host_file(const struct attempt *a)
{
	const char *file = fact("file");
	(void)a;
	return secret(file && holds_secret(AT_FDCWD, file));
}

/* The classic way: a root below the one that was left open. */
static struct result chroot_out(const struct attempt *a)
{
	(void)a;
	int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0 || chroot("/proc") < 0)
		return failed();
	bool found = climbs_to_secret(top);
	close(top);
	return secret(found);
}

/* What lies below the root when it is taken away. */
static struct result unmount_root(const struct attempt *a)
{
	const char *file = fact("file");
	(void)a;
	if (!own_mounts())
		return failed();
	int off = umount2("/", MNT_DETACH), err = errno;
	if (file && holds_secret(AT_FDCWD, file))
		return through("");
	return blocked(off < 0 ? err : 0, "not there");
}

/* Each process that is not of the attacker's own session, by what of it is a directory. */
static struct result by_processes(const struct attempt *a)
{
	char path[300];
	const char *file = fact("file");
	DIR *d = opendir("/proc");
	bool found = false;
	if (!d)
		return failed();
	for (struct dirent *e; (e = readdir(d)) && !found;) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
		if (pid <= 0 || getsid(pid) == getsid(0))
			continue;
		snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, a->path);
		int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			continue;
		found = (file && holds_secret(dir, file + 1)) || climbs_to_secret(dir);
		close(dir);
	}
	closedir(d);
	return secret(found);
}

static struct result by_birth_directory(const struct attempt *a)
{
	(void)a;
	return secret(birth.cwd >= 0 && climbs_to_secret(birth.cwd));
}

static struct result by_leaked_fd(const struct attempt *a)
{
	(void)a;
	return birth.leaked >= 0 ? through("") : blocked(0, "none is open");
}

static struct result by_inheritable(const struct attempt *a)
{
	(void)a;
	return birth.inheritable ? through("") : blocked(0, "none is inheritable");
}

/* The program that the host ran here, written to by /proc/self/exe: it must be a copy that cannot change. */
static struct result overwrite_exe(const struct attempt *a)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_SHRINK;
	(void)a;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int have = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	if (fd >= 0)
		close(fd);
	if (have >= 0 && (have & seals) == seals)
		return blocked(EPERM, "a sealed copy");
	return faccessat(AT_FDCWD, "/proc/self/exe", W_OK, AT_EACCESS) == 0 ? through("") : failed();
}

/* Shocker: a handle of what lies outside of a mount, opened by the mount. Both lie on the same file system, as a directory of
 * the host's that is bound into a guest does. */
static struct result open_by_handle(const struct attempt *a)
{
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
	int mount_id;
	(void)a;
	/* The bind is the whole of what the mount shows; without the right to bind, the directory must do. */
	bool bound = scratch() && own_mounts() && mount("/etc", scratch(), NULL, MS_BIND, NULL) == 0;
	int dir = open(bound ? scratch() : "/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || name_to_handle_at(AT_FDCWD, "/usr", &handle.head, &mount_id, 0) < 0)
		return failed();
	int fd = open_by_handle_at(dir, &handle.head, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return failed();
	close(fd);
	return through("");
}

#define ESCAPE(ID, WHAT, CVE, RUN, PATH, CONTROL) {.id = ID, .what = WHAT, .cve = CVE, .control = CONTROL, .run = RUN, .path = PATH}

const struct attempt escape_attempts[] = {
	ESCAPE("host-file", "read a file of the host's by its path", "", read_host_file, "", "the host's root reads the canary's file"),
	ESCAPE("chroot", "leave the root directory by chroot(2)", "", chroot_out, "", "out of a mere chroot, the canary's file is there"),
	ESCAPE("unmount-root", "take the root away and look below", "", unmount_root, "", "without a root of its own, the canary's file is there"),
	ESCAPE("proc-root", "leave by /proc/PID/root", "", by_processes, "root", "the host's root gets to the canary's file"),
	ESCAPE("proc-cwd", "leave by the working directory of another process", "CVE-2024-21626", by_processes, "cwd",
	       "the host's root gets to the canary's file"),
	ESCAPE("own-cwd", "leave by the working directory it was started in", "CVE-2024-21626", by_birth_directory, "",
	       "a process that was started carelessly gets to the canary's file"),
	ESCAPE("leaked-fd", "use a descriptor that the host left open", "CVE-2024-21626", by_leaked_fd, "",
	       "a process that was started carelessly has one"),
	ESCAPE("inheritable-caps", "inherit capabilities across exec", "CVE-2022-29162", by_inheritable, "",
	       "a process that was started carelessly has some"),
	ESCAPE("self-exe", "overwrite the program that the host ran in here", "CVE-2019-5736", overwrite_exe, "",
	       "the host's root may write to a program that is a file"),
	ESCAPE("file-handle", "open what lies outside of a mount by its handle (shocker)", "", open_by_handle, "",
	       "the host's root opens it"),
	{0},
};
