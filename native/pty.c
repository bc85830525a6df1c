/* pty.c - terminals and the copying of bytes between them. */
#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util.h"

int terminal_open(struct terminal *t, int fd)
{
	*t = (struct terminal){.fd = -1};
	if (tcgetattr(fd, &t->saved) < 0)
		return -1;
	t->fd = fd;
	return 0;
}

int terminal_raw(struct terminal *t)
{
	struct termios raw = t->saved;
	cfmakeraw(&raw);
	if (tcsetattr(t->fd, TCSANOW, &raw) < 0)
		return -1;
	t->raw = true;
	return 0;
}

void terminal_restore(struct terminal *t)
{
	int err = errno;
	if (t->raw && tcsetattr(t->fd, TCSANOW, &t->saved) == 0)
		t->raw = false;
	errno = err;
}

void terminal_stop(struct terminal *t)
{
	bool raw = t->raw;
	terminal_restore(t);
	raise(SIGSTOP);
	if (raw && terminal_raw(t) < 0)
		t->raw = false;
}

int guest_pty(int *master, int *slave)
{
	/* Of whatever else the guest might have put there, opening has no lasting effect: no tty becomes ours, a fifo does
	 * not hang, a device node is subject to the guest's own device rules. */
	cleanup_fd int m = open_in_root(AT_FDCWD, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, 0);
	if (m < 0)
		return fail("pty", "/dev/pts/ptmx of the guest cannot be opened");
	struct statfs fs;
	struct stat st;
	if (fstatfs(m, &fs) < 0 || fstat(m, &st) < 0)
		return fail("pty", "/dev/pts/ptmx of the guest");
	if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return fail_with(EINVAL, "pty", "/dev/pts/ptmx of the guest is not the ptmx of a devpts");
	int locked = 0;
	if (ioctl(m, TIOCSPTLCK, &locked) < 0)
		return fail("pty", "TIOCSPTLCK");
	int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s < 0)
		return fail("pty", "TIOCGPTPEER");
	*master = take_fd(&m);
	*slave = s;
	return 0;
}

int own_nonblocking(int fd)
{
	struct stat st;
	/* Opening a ptmx again would make another pty. Regular files never block, sockets cannot be opened. */
	if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev != makedev(5, 2))))
		return -1;
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void flow_init(struct flow *f, int from, int to)
{
	f->from = from;
	f->to = to;
	f->eof = f->broken = f->ending = false;
	f->last = '\n';
	f->allowance = 0;
	f->start = f->end = 0;
	struct stat st;
	f->socket = fstat(to, &st) == 0 && S_ISSOCK(st.st_mode);
	/* A blocking pipe that polled writable takes PIPE_BUF bytes without blocking, not more. */
	int flags = fcntl(to, F_GETFL);
	f->chunk = f->socket || (flags >= 0 && (flags & O_NONBLOCK)) ? sizeof f->buf : 4096;
}

void flow_end(struct flow *f)
{
	f->ending = true;
	f->allowance = 1 << 20;
}

void flow_poll(const struct flow *f, struct pollfd p[2])
{
	p[0] = (struct pollfd){.fd = -1, .events = POLLIN};
	p[1] = (struct pollfd){.fd = -1, .events = POLLOUT};
	if (f->from >= 0 && !f->eof && !f->broken && f->end < sizeof f->buf)
		p[0].fd = f->from;
	if (f->to >= 0 && !f->broken && f->end > f->start)
		p[1].fd = f->to;
}

/* One read. Returns whether there may be more at once. */
static bool flow_read(struct flow *f)
{
	size_t room = sizeof f->buf - f->end;
	if (f->ending && room > f->allowance)
		room = f->allowance;
	if (room == 0) {
		f->eof = f->eof || (f->ending && f->allowance == 0);
		return false;
	}
	ssize_t n = read(f->from, f->buf + f->end, room);
	if (n < 0 && (errno == EINTR || (errno == EAGAIN && !f->ending)))
		return false;
	if (n <= 0) {
		f->eof = true; /* EIO: the terminal has hung up */
		return false;
	}
	f->end += (size_t)n;
	f->last = f->buf[f->end - 1];
	if (f->ending)
		f->allowance -= (size_t)n;
	return true;
}

static void flow_write(struct flow *f)
{
	size_t len = f->end - f->start;
	if (len > f->chunk)
		len = f->chunk;
	const char *at = f->buf + f->start;
	ssize_t n = f->socket ? send(f->to, at, len, MSG_DONTWAIT | MSG_NOSIGNAL) : write(f->to, at, len);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		f->broken = true;
		f->start = f->end = 0;
		return;
	}
	f->start += (size_t)n;
	if (f->start == f->end)
		f->start = f->end = 0;
	else if (f->end == sizeof f->buf) {
		memmove(f->buf, f->buf + f->start, f->end - f->start);
		f->end -= f->start;
		f->start = 0;
	}
}

void flow_move(struct flow *f, const struct pollfd p[2])
{
	if (p[1].fd >= 0 && p[1].revents)
		flow_write(f);
	if (p[0].fd >= 0 && p[0].revents)
		flow_read(f);
}

void flow_drain(struct flow *f)
{
	while (f->from >= 0 && !f->eof && !f->broken && flow_read(f))
		;
}

bool flow_put(struct flow *f, const char *bytes, size_t len)
{
	if (len > sizeof f->buf - flow_held(f))
		return false;
	if (len > sizeof f->buf - f->end) {
		memmove(f->buf, f->buf + f->start, flow_held(f));
		f->end -= f->start;
		f->start = 0;
	}
	memcpy(f->buf + f->end, bytes, len);
	f->end += len;
	return true;
}

int relay_signals(bool with_stop)
{
	static const int always[] = {SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCHLD, SIGPIPE};
	static const int unless_ignored[] = {SIGHUP, SIGINT, SIGQUIT};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
		sigaddset(&set, always[i]);
	for (size_t i = 0; i < sizeof unless_ignored / sizeof unless_ignored[0]; i++) {
		struct sigaction old;
		if (sigaction(unless_ignored[i], NULL, &old) < 0)
			return -1;
		if (old.sa_handler != SIG_IGN)
			sigaddset(&set, unless_ignored[i]);
	}
	if (with_stop) {
		sigaddset(&set, SIGTSTP);
		sigaddset(&set, SIGCONT);
	}
	/* Inherited as ignored, SIGCHLD would have the kernel reap the command without us. */
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}
