/*
 * lab-agent: runs commands in a lab host for the test outside, over a virtio-serial port.
 *
 * Frames both ways, little-endian: u32 payload length, u32 command id, u8 type, payload. From outside: P ping, E exec
 * (u8 terminal flag, u16 rows, u16 columns, then NUL-terminated arguments), I input, C end of input, S signal (u8),
 * W window size (u16 rows, u16 columns). To the outside: P, O stdout, R stderr, A input taken (u32 bytes),
 * X exit (i32; 128 + signal when killed). A command is over when its first process is; what it leaves running loses its pipes.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { HEADER = 9, PAYLOAD_MAX = 65536, COMMANDS_MAX = 32, ARGS_MAX = 1024 };

struct command {
	uint32_t id;
	pid_t pid; /* 0: free slot */
	int in, out, err;
	bool terminal, input_ended;
	uint8_t *input;
	size_t input_len;
};

static struct command commands[COMMANDS_MAX];
static int port = -1;
static uint8_t frame[HEADER + PAYLOAD_MAX];
static size_t frame_len;

static void die(const char *step)
{
	fprintf(stderr, "lab-agent: %s: %s\n", step, strerror(errno));
	exit(1);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static void write_port(const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(port, data, len);
		if (n < 0 && errno == EAGAIN) {
			struct pollfd wait = { .fd = port, .events = POLLOUT };
			if (poll(&wait, 1, 100) < 0 && errno != EINTR)
				die("poll port");
			if (wait.revents & POLLHUP)
				usleep(20000);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("write port");
		data += n;
		len -= (size_t)n;
	}
}

static void send_frame(uint8_t type, uint32_t id, const void *payload, size_t len)
{
	static uint8_t buffer[HEADER + PAYLOAD_MAX];
	uint32_t len_le = htole32((uint32_t)len), id_le = htole32(id);
	memcpy(buffer, &len_le, 4);
	memcpy(buffer + 4, &id_le, 4);
	buffer[8] = type;
	if (len > 0)
		memcpy(buffer + HEADER, payload, len);
	write_port(buffer, HEADER + len);
}

static void send_number(uint8_t type, uint32_t id, uint32_t number)
{
	uint32_t le = htole32(number);
	send_frame(type, id, &le, sizeof le);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static struct command *find(uint32_t id)
{
	for (int i = 0; i < COMMANDS_MAX; i++)
		if (commands[i].pid != 0 && commands[i].id == id)
			return &commands[i];
	return NULL;
}

/* Passes on what is there to read; false at the end of the stream. */
static bool forward(struct command *c, int fd, uint8_t type)
{
	static uint8_t buffer[PAYLOAD_MAX];
	ssize_t n = read(fd, buffer, sizeof buffer);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	send_frame(type, c->id, buffer, (size_t)n);
	return true;
}

/* Empties a pipe without waiting for those who still hold its other end. */
static void drain(struct command *c, int *fd, uint8_t type)
{
	for (;;) {
		struct pollfd ready = { .fd = *fd, .events = POLLIN };
		if (*fd < 0 || poll(&ready, 1, 0) <= 0 || !(ready.revents & POLLIN) || !forward(c, *fd, type))
			break;
	}
	close_fd(fd);
}

static void feed(struct command *c)
{
	if (c->in < 0) {
		c->input_len = 0;
		return;
	}
	ssize_t n = c->input_len > 0 ? write(c->in, c->input, c->input_len) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) { /* nobody reads any more: take the rest and drop it */
		n = (ssize_t)c->input_len;
		if (!c->terminal)
			close_fd(&c->in);
	}
	if (n > 0) {
		memmove(c->input, c->input + n, c->input_len - (size_t)n);
		c->input_len -= (size_t)n;
		send_number('A', c->id, (uint32_t)n);
	}
	if (c->input_len == 0 && c->input_ended && !c->terminal)
		close_fd(&c->in);
}

static void take_input(struct command *c, const uint8_t *data, size_t len)
{
	uint8_t *grown = realloc(c->input, c->input_len + len + 1);
	if (grown == NULL)
		die("realloc");
	memcpy(grown + c->input_len, data, len);
	c->input = grown;
	c->input_len += len;
	if (c->in < 0) {
		send_number('A', c->id, (uint32_t)c->input_len);
		c->input_len = 0;
	}
}

static void child(char *const argv[], int in, int out, int err)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (in >= 0) {
		setsid();
		if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
			_exit(126);
	}
	int adj = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (adj >= 0 && write(adj, "0", 1) != 1)
		dprintf(2, "lab-agent: oom_score_adj: %s\n", strerror(errno));
	if (chdir("/root") < 0 && chdir("/") < 0)
		_exit(126);
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void start_pipes(struct command *c, char *const argv[])
{
	int in[2], out[2], err[2];
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		die("pipe2");
	c->pid = fork();
	if (c->pid < 0)
		die("fork");
	if (c->pid == 0)
		child(argv, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	if (fcntl(c->in, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl");
}

static void start_terminal(struct command *c, char *const argv[], uint16_t rows, uint16_t columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };
	int pty;
	c->pid = forkpty(&pty, NULL, NULL, &size);
	if (c->pid < 0)
		die("forkpty");
	if (c->pid == 0)
		child(argv, -1, -1, -1);
	if (fcntl(pty, F_SETFD, FD_CLOEXEC) < 0 || fcntl(pty, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl");
	c->in = pty;
	c->out = fcntl(pty, F_DUPFD_CLOEXEC, 3);
	if (c->out < 0)
		die("dup pty");
	c->err = -1;
}

static void start(uint32_t id, const uint8_t *payload, size_t len)
{
	struct command *c = NULL;
	for (int i = 0; i < COMMANDS_MAX && c == NULL; i++)
		if (commands[i].pid == 0)
			c = &commands[i];
	char *argv[ARGS_MAX + 1];
	size_t argc = 0;
	for (size_t at = 5; at < len && argc < ARGS_MAX; at += strlen(argv[argc++]) + 1)
		argv[argc] = (char *)payload + at;
	argv[argc] = NULL;
	if (c == NULL || argc == 0 || payload[len - 1] != 0) {
		send_number('X', id, 125);
		return;
	}
	*c = (struct command){ .id = id, .in = -1, .out = -1, .err = -1, .terminal = payload[0] != 0 };
	if (c->terminal)
		start_terminal(c, argv, get16(payload + 1), get16(payload + 3));
	else
		start_pipes(c, argv);
}

static void handle(uint8_t type, uint32_t id, const uint8_t *payload, size_t len)
{
	struct command *c = find(id);
	if (type == 'P')
		send_frame('P', id, NULL, 0);
	else if (type == 'E' && c == NULL && len > 6)
		start(id, payload, len);
	else if (c == NULL)
		return;
	else if (type == 'I')
		take_input(c, payload, len);
	else if (type == 'C')
		c->input_ended = true;
	else if (type == 'S' && len == 1)
		kill(-c->pid, payload[0]);
	else if (type == 'W' && len == 4 && c->terminal)
		ioctl(c->in, TIOCSWINSZ, &(struct winsize){ .ws_row = get16(payload), .ws_col = get16(payload + 2) });
	if (c != NULL)
		feed(c);
}

static void read_port(void)
{
	ssize_t n = read(port, frame + frame_len, sizeof frame - frame_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* nobody outside: whoever connects next starts with a whole frame */
		frame_len = 0;
		usleep(20000);
		return;
	}
	frame_len += (size_t)n;
	while (frame_len >= HEADER) {
		size_t len = get32(frame);
		if (len > PAYLOAD_MAX) {
			frame_len = 0;
			return;
		}
		if (frame_len < HEADER + len)
			return;
		handle(frame[8], get32(frame + 4), frame + HEADER, len);
		memmove(frame, frame + HEADER + len, frame_len - HEADER - len);
		frame_len -= HEADER + len;
	}
}

static void reap(void)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		for (int i = 0; i < COMMANDS_MAX; i++) {
			struct command *c = &commands[i];
			if (c->pid != pid)
				continue;
			drain(c, &c->out, 'O');
			drain(c, &c->err, 'R');
			close_fd(&c->in);
			free(c->input);
			int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
			send_number('X', c->id, (uint32_t)code);
			c->pid = 0;
		}
}

static int open_port(const char *path)
{
	int fd;
	while ((fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)) < 0) {
		if (errno != ENOENT && errno != ENXIO)
			die(path);
		usleep(50000);
	}
	return fd;
}

static void serve(int signals)
{
	for (;;) {
		struct pollfd fds[2 + 3 * COMMANDS_MAX] = { { .fd = port, .events = POLLIN },
							    { .fd = signals, .events = POLLIN } };
		for (int i = 0; i < COMMANDS_MAX; i++) {
			struct command *c = &commands[i];
			bool used = c->pid != 0, feeding = used && c->input_len > 0;
			fds[2 + 3 * i] = (struct pollfd){ .fd = used ? c->out : -1, .events = POLLIN };
			fds[3 + 3 * i] = (struct pollfd){ .fd = used ? c->err : -1, .events = POLLIN };
			fds[4 + 3 * i] = (struct pollfd){ .fd = feeding ? c->in : -1, .events = POLLOUT };
		}
		if (poll(fds, 2 + 3 * COMMANDS_MAX, -1) < 0) {
			if (errno == EINTR)
				continue;
			die("poll");
		}
		for (int i = 0; i < COMMANDS_MAX; i++) {
			struct command *c = &commands[i];
			if (fds[2 + 3 * i].revents && !forward(c, c->out, 'O'))
				close_fd(&c->out);
			if (fds[3 + 3 * i].revents && !forward(c, c->err, 'R'))
				close_fd(&c->err);
			if (fds[4 + 3 * i].revents)
				feed(c);
		}
		if (fds[1].revents) {
			struct signalfd_siginfo info;
			if (read(signals, &info, sizeof info) < 0 && errno != EAGAIN)
				die("read signalfd");
			reap();
		}
		if (fds[0].revents)
			read_port();
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: lab-agent PORT\n");
		return 2;
	}
	sigset_t chld;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &chld, NULL) < 0)
		die("sigprocmask");
	signal(SIGPIPE, SIG_IGN);
	int signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		die("signalfd");
	port = open_port(argv[1]);
	serve(signals);
}
