/* unrepair.c - verb `unrepair PID`: lets the TCP connections of a guest whose init is PID go on. A criu that was killed
 * while it held the guest leaves them in repair mode (tcp(7), TCP_REPAIR), where nothing is sent or answered. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "caller.h"
#include "sys.h"
#include "unrepair.h"
#include "util.h"
#include "verbs.h"

static void close_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}
#define cleanup_dir __attribute__((cleanup(close_dir)))

/* The number that a name of /proc or /proc/PID/fd is; -1: another. */
static int number(const char *name)
{
	char *end;
	long n = strtol(name, &end, 10);
	return *name >= '0' && *name <= '9' && *end == '\0' && n <= INT32_MAX ? (int)n : -1;
}

static DIR *open_dir_at(int dir, const char *path)
{
	cleanup_fd int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *opened = fd < 0 ? NULL : fdopendir(fd);
	if (opened)
		(void)take_fd(&fd);
	return opened;
}

/* Of what is no TCP socket both calls fail, and there is nothing to do. */
static int let_go_on(int sock)
{
	/* Without asking the other side for its window (TCP_REPAIR_OFF_NO_WP): criu was only looking. */
	static const int off = TCP_REPAIR_OFF_NO_WP;
	int on = 0;
	socklen_t size = sizeof on;
	if (getsockopt(sock, IPPROTO_TCP, TCP_REPAIR, &on, &size) < 0 || on != TCP_REPAIR_ON)
		return 0;
	return setsockopt(sock, IPPROTO_TCP, TCP_REPAIR, &off, sizeof off) < 0 ? fail("unrepair", "TCP_REPAIR") : 0;
}

/* A process that ends meanwhile has no connections. */
static int process_sockets(int proc, pid_t pid)
{
	char path[64];
	char target[16];
	(void)snprintf(path, sizeof path, "%d/fd", (int)pid);
	cleanup_dir DIR *fds = open_dir_at(proc, path);
	cleanup_fd int pidfd = sys_pidfd_open(pid);
	for (struct dirent *e; fds && pidfd >= 0 && (e = readdir(fds));) {
		int fd = number(e->d_name);
		/* By the link's text: what it leads to may be a file system of the guest's own that never answers. */
		if (fd < 0 || readlinkat(dirfd(fds), e->d_name, target, sizeof target) < 8 || memcmp(target, "socket:[", 8) != 0)
			continue;
		cleanup_fd int sock = sys_pidfd_getfd(pidfd, fd);
		if (sock >= 0 && let_go_on(sock) < 0)
			return -1;
	}
	return 0;
}

static bool same_network(int proc, pid_t pid, const struct stat *of)
{
	char path[64];
	struct stat st;
	(void)snprintf(path, sizeof path, "%d/ns/net", (int)pid);
	return fstatat(proc, path, &st, 0) == 0 && st.st_ino == of->st_ino && st.st_dev == of->st_dev;
}

int unrepair(pid_t init)
{
	char path[64];
	struct stat network;
	cleanup_dir DIR *proc = open_dir_at(AT_FDCWD, "/proc");
	(void)snprintf(path, sizeof path, "%d/ns/net", (int)init);
	if (!proc || fstatat(dirfd(proc), path, &network, 0) < 0)
		return fail("unrepair", "process %d", (int)init);
	int result = 0;
	for (struct dirent *e; (e = readdir(proc));) {
		pid_t pid = number(e->d_name);
		if (pid > 0 && same_network(dirfd(proc), pid, &network) && process_sockets(dirfd(proc), pid) < 0)
			result = -1;
	}
	return result;
}

int unrepair_main(int argc, char **argv)
{
	pid_t init = argc == 2 ? number(argv[1]) : -1;
	if (init <= 0)
		(void)fail_with(EINVAL, "usage", "unrepair PID");
	else if (caller_leave(2) == 0 && unrepair(init) == 0)
		return 0;
	return caller_told();
}
