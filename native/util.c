/* util.c - errors, cleanup, small file and fd helpers. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"

struct failure failure;

static void record(int err, const char *step, const char *fmt, va_list ap)
{
	failure.step = step;
	failure.err = err;
	if (vsnprintf(failure.text, sizeof failure.text, fmt, ap) < 0)
		failure.text[0] = '\0';
}

int fail(const char *step, const char *fmt, ...)
{
	int err = errno;
	va_list ap;
	va_start(ap, fmt);
	record(err, step, fmt, ap);
	va_end(ap);
	return -1;
}

int fail_with(int err, const char *step, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	record(err, step, fmt, ap);
	va_end(ap);
	return -1;
}

int fail_about(const char *what)
{
	char said[sizeof failure.text];
	memcpy(said, failure.text, sizeof said);
	int n = snprintf(failure.text, sizeof failure.text, "%s: ", what);
	size_t used = n < 0 ? 0 : (size_t)n;
	for (size_t i = 0; used < sizeof failure.text - 1 && said[i]; i++)
		failure.text[used++] = said[i];
	failure.text[used < sizeof failure.text ? used : sizeof failure.text - 1] = '\0';
	return -1;
}

void close_fd(int *fd)
{
	int err = errno;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = err;
}

void free_ptr(void *p)
{
	void **at = p;
	int err = errno;
	free(*at);
	*at = NULL;
	errno = err;
}

int write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int write_file_at(int dirfd, const char *path, const char *text)
{
	cleanup_fd int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t len = strlen(text);
	ssize_t n;
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	if ((size_t)n != len) {
		errno = EIO;
		return -1;
	}
	return 0;
}

ssize_t read_file_at(int dirfd, const char *path, char *buf, size_t size)
{
	cleanup_fd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t used = 0;
	while (used < size - 1) {
		ssize_t n = read(fd, buf + used, size - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	buf[used] = '\0';
	return (ssize_t)used;
}

int replace_file_at(int dirfd, const char *path, const char *text, mode_t mode)
{
	char tmp[256];
	int n = snprintf(tmp, sizeof tmp, "%s.%d.tmp", path, (int)getpid());
	if (n < 0 || (size_t)n >= sizeof tmp) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (unlinkat(dirfd, tmp, 0) < 0 && errno != ENOENT)
		return -1;
	cleanup_fd int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -1;
	if (write_all(fd, text, strlen(text)) < 0 || renameat(dirfd, tmp, dirfd, path) < 0) {
		int err = errno;
		unlinkat(dirfd, tmp, 0);
		errno = err;
		return -1;
	}
	return 0;
}

int open_in_root(int root, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	/* EAGAIN: something was renamed during the walk, or the guest holds a lease on the file and wants us to spin. */
	enum { TRIES = 64 };
	int fd = -1;
	for (int i = 0; i < TRIES && fd < 0 && (i == 0 || errno == EINTR || errno == EAGAIN); i++)
		fd = sys_openat2(root, path, &how);
	return fd;
}

uint64_t process_starttime(pid_t pid)
{
	char path[64], buf[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (read_file_at(AT_FDCWD, path, buf, sizeof buf) < 0)
		return 0;
	char *p = strrchr(buf, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	uint64_t v = p ? strtoull(p + 1, NULL, 10) : 0;
	if (v == 0)
		errno = EPROTO;
	return v;
}

int send_fd(int sock, int fd)
{
	char byte = 'f';
	struct iovec iov = {&byte, 1};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	ssize_t n;
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : -1;
}

int recv_fd(int sock)
{
	char byte;
	struct iovec iov = {&byte, 1};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
	ssize_t n;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (n == 0 || !c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int))) {
		errno = n == 0 ? ECONNRESET : EPROTO;
		return -1;
	}
	int fd;
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}
