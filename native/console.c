/* console.c - verb `console`: the operator's end of the console that the keeper holds. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "frames.h"
#include "keeper.h"
#include "plan.h"
#include "pty.h"
#include "util.h"
#include "verbs.h"

enum { EXIT_FAILED = 125, INPUT_CHUNK = 4096, FRAME_HEAD = 4 };

struct console {
	const char *rundir;
	int escape; /* byte that detaches, 0: none */
	struct terminal terminal;
	int sock, signals;
	bool input_open, greeted; /* greeted: the keeper has said something */
	struct frames frames;
	char record[1024]; /* payload of FRAME_EXIT */
	size_t record_len;
	bool ended, detached;
	int status; /* exit status, -1 while undecided */
	struct flow to_keeper, to_operator;
};

static int parse_options(struct console *c, int argc, char **argv)
{
	int i = 1;
	for (; i + 1 < argc && strcmp(argv[i], "--escape") == 0; i += 2) {
		struct plan_arg arg = {argv[i + 1], (uint32_t)strnlen(argv[i + 1], 16)};
		uint64_t byte;
		if (!plan_u64(&arg, 255, &byte))
			return fail_with(EINVAL, "usage", "--escape wants a byte from 0 to 255, not %s", argv[i + 1]);
		c->escape = (int)byte;
	}
	if (i + 1 != argc || argv[i][0] == '-')
		return fail_with(EINVAL, "usage", "console [--escape BYTE] RUNDIR");
	c->rundir = argv[i];
	return 0;
}

/* A keeper of another version says so in its record. There is none any more when the guest has just ended. */
static int check_version(const struct console *c, int rundir)
{
	char record[256];
	if (read_file_at(rundir, "init", record, sizeof record) < 0)
		return errno == ENOENT ? 0 : fail("record", "%s/init cannot be read", c->rundir);
	char *end;
	unsigned long version = strtoul(record, &end, 10);
	if (end == record || *end != ' ')
		return fail_with(EPROTO, "record", "%s/init is malformed", c->rundir);
	if (version != KEEPER_VERSION)
		return fail_with(EPROTO, "version", "the guest's keeper has version %lu, this berth-launch knows %d", version,
				 KEEPER_VERSION);
	return 0;
}

static int connect_keeper(struct console *c)
{
	cleanup_fd int rundir = open(c->rundir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rundir < 0)
		return errno == ENOENT ? fail("connect", "the guest is not running") : fail("connect", "%s", c->rundir);
	if (check_version(c, rundir) < 0)
		return -1;
	/* By the descriptor: the path of a socket may be no longer than 107 bytes. */
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/keeper.sock", rundir);
	cleanup_fd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return fail("connect", "socket");
	if (connect(sock, (struct sockaddr *)&at, sizeof at) < 0) {
		if (errno == ENOENT)
			return fail("connect", "the guest is not running, or has lost its keeper");
		return errno == ECONNREFUSED ? fail("connect", "the guest's keeper is gone") : fail("connect", "%s/keeper.sock", c->rundir);
	}
	static const uint8_t hello[8] = {'B', 'K', 'P', '0' + KEEPER_VERSION, KEEPER_CONSOLE};
	if (send(sock, hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello)
		return fail("connect", "the greeting was not taken");
	c->sock = take_fd(&sock);
	return 0;
}

/* False when there is no room just now. */
static bool put_frame(struct console *c, enum keeper_frame type, const void *payload, size_t len)
{
	char frame[FRAME_HEAD + INPUT_CHUNK] = {(char)type, 0, (char)(len & 0xff), (char)(len >> 8)};
	memcpy(frame + FRAME_HEAD, payload, len);
	return flow_put(&c->to_keeper, frame, FRAME_HEAD + len);
}

static void put_size(struct console *c)
{
	struct winsize w;
	if (ioctl(c->terminal.fd, TIOCGWINSZ, &w) < 0 || w.ws_row == 0 || w.ws_col == 0)
		return; /* a terminal that does not know its size */
	const uint8_t size[4] = {(uint8_t)(w.ws_row & 0xff), (uint8_t)(w.ws_row >> 8), (uint8_t)(w.ws_col & 0xff),
				 (uint8_t)(w.ws_col >> 8)};
	put_frame(c, FRAME_WINSIZE, size, sizeof size);
}

static void take_input(struct console *c)
{
	char buf[INPUT_CHUNK];
	ssize_t n = read(0, buf, sizeof buf);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		/* Without a terminal the output goes on; with one, nobody is there to see it. */
		c->input_open = false;
		if (c->terminal.fd >= 0)
			c->status = 128 + SIGHUP;
		return;
	}
	char *stop = c->terminal.fd >= 0 && c->escape ? memchr(buf, c->escape, (size_t)n) : NULL;
	if (stop) {
		n = stop - buf;
		c->detached = true;
	}
	/* A guest that takes no input must not keep the operator from leaving: what is typed beyond the buffer is lost. */
	if (n > 0)
		put_frame(c, FRAME_DATA, buf, (size_t)n);
}

static bool wants_input(const struct console *c)
{
	size_t room = sizeof c->to_keeper.buf - flow_held(&c->to_keeper);
	return c->input_open && (c->terminal.fd >= 0 || room >= FRAME_HEAD + INPUT_CHUNK);
}

static int take_frames(struct console *c)
{
	static uint8_t buf[8192];
	ssize_t n = recv(c->sock, buf, sizeof buf, MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0 && !c->greeted)
		return fail_with(0, "connect", "the keeper closed the connection: it has too many consoles already, or another version than %d",
				 KEEPER_VERSION);
	if (n <= 0)
		return fail_with(0, "console", "the keeper is gone; the guest may go on without one");
	c->greeted = true;
	const uint8_t *at = buf;
	struct piece piece;
	int more;
	while ((more = frames_next(&c->frames, &at, buf + n, &piece)) > 0) {
		if (piece.type == FRAME_DATA) {
			flow_put(&c->to_operator, (const char *)piece.data, piece.len);
		} else if (piece.type == FRAME_EXIT) {
			size_t room = sizeof c->record - 1 - c->record_len;
			size_t len = piece.len < room ? piece.len : room;
			memcpy(c->record + c->record_len, piece.data, len);
			c->record_len += len;
			c->ended = c->ended || piece.last;
		}
	}
	return more < 0 ? fail_with(EPROTO, "console", "the keeper speaks another protocol than version %d", KEEPER_VERSION) : 0;
}

static int take_signals(struct console *c)
{
	struct signalfd_siginfo si;
	while (read(c->signals, &si, sizeof si) == (ssize_t)sizeof si) {
		switch (si.ssi_signo) {
		case SIGTSTP:
			terminal_stop(&c->terminal);
			break;
		case SIGCONT:
			if (c->terminal.raw && terminal_raw(&c->terminal) < 0)
				c->status = 128 + SIGHUP;
			if (c->terminal.fd >= 0)
				put_size(c);
			break;
		case SIGWINCH:
			if (c->terminal.fd >= 0)
				put_size(c);
			break;
		case SIGTERM:
		case SIGINT:
		case SIGHUP:
		case SIGQUIT:
			c->status = 128 + (int)si.ssi_signo;
			break;
		default: /* the rest is of no concern here */
			break;
		}
	}
	return errno == EAGAIN || errno == EINTR ? 0 : fail("signals", "signalfd");
}

static int converse(struct console *c)
{
	/* When the end has come, what was printed before it is still written out. */
	while (c->status < 0 && !c->detached && !(c->ended && flow_held(&c->to_operator) == 0)) {
		struct pollfd p[5] = {
			{.fd = c->signals, .events = POLLIN},
			{.fd = c->ended || flow_held(&c->to_operator) > sizeof c->to_operator.buf - 8192 ? -1 : c->sock, .events = POLLIN},
			{.fd = wants_input(c) ? 0 : -1, .events = POLLIN},
		};
		struct pollfd sink[2];
		flow_poll(&c->to_keeper, sink);
		p[3] = sink[1];
		flow_poll(&c->to_operator, sink);
		p[4] = sink[1];
		if (poll(p, 5, -1) < 0) {
			if (errno == EINTR)
				continue;
			return fail("console", "poll");
		}
		if (p[0].revents && take_signals(c) < 0)
			return -1;
		flow_move(&c->to_keeper, (struct pollfd[2]){{.fd = -1}, p[3]});
		flow_move(&c->to_operator, (struct pollfd[2]){{.fd = -1}, p[4]});
		if (p[1].revents && take_frames(c) < 0)
			return -1;
		if (p[2].revents)
			take_input(c);
		if (c->to_operator.broken)
			c->status = 128 + SIGPIPE;
	}
	if (c->detached) /* what was typed before the key, as far as the keeper takes it at once */
		flow_move(&c->to_keeper, (struct pollfd[2]){{.fd = -1}, {.fd = flow_held(&c->to_keeper) ? c->sock : -1, .revents = POLLOUT}});
	return 0;
}

/* A number after "key": in the keeper's own JSON, -1 for null or none. */
static long json_number(const char *json, const char *key)
{
	char quoted[32];
	snprintf(quoted, sizeof quoted, "\"%s\":", key);
	const char *at = strstr(json, quoted);
	at = at ? at + strlen(quoted) : "";
	return *at >= '0' && *at <= '9' ? strtol(at, NULL, 10) : -1;
}

static void tell_end(const char *json)
{
	long oom = json_number(json, "oomKills");
	if (strstr(json, "\"kind\":\"exit\""))
		fprintf(stderr, "\nThe guest has ended: its init returned %ld.\n", json_number(json, "code"));
	else if (strstr(json, "\"kind\":\"halt\""))
		fputs("\nThe guest has halted.\n", stderr);
	else if (strstr(json, "\"kind\":\"reboot\""))
		fputs("\nThe guest reboots.\n", stderr);
	else
		fprintf(stderr, "\nThe guest has ended: its init was killed by signal %ld.\n", json_number(json, "signal"));
	if (oom > 0)
		fprintf(stderr, "It ran out of memory %ld times.\n", oom);
}

static void tell_escape(int byte)
{
	if (byte > 0 && byte < 32)
		fprintf(stderr, "Connected to the console; Ctrl-%c detaches.\n", byte + 64);
	else if (byte)
		fprintf(stderr, "Connected to the console; byte %d detaches.\n", byte);
	else
		fputs("Connected to the console; no key detaches.\n", stderr);
}

static int start(struct console *c)
{
	if (isatty(0) && terminal_open(&c->terminal, 0) < 0)
		return fail("terminal", "its modes cannot be read");
	if (connect_keeper(c) < 0)
		return -1;
	c->signals = relay_signals(c->terminal.fd >= 0);
	if (c->signals < 0)
		return fail("signals", "signalfd");
	int out = own_nonblocking(1);
	flow_init(&c->to_keeper, -1, c->sock);
	flow_init(&c->to_operator, -1, out >= 0 ? out : 1);
	if (c->terminal.fd < 0)
		return 0;
	tell_escape(c->escape);
	if (terminal_raw(&c->terminal) < 0)
		return fail("terminal", "raw mode");
	put_size(c);
	return 0;
}

int console_main(int argc, char **argv)
{
	static struct console c = {
		.escape = 0x1d, .terminal = {.fd = -1}, .sock = -1, .signals = -1, .input_open = true, .status = -1};
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return EXIT_FAILED;
	int result = parse_options(&c, argc, argv) < 0 || start(&c) < 0 || converse(&c) < 0 ? -1 : 0;
	terminal_restore(&c.terminal);
	if (result < 0) {
		fprintf(stderr, "%sberth-launch: %s: %s%s%s\n", c.greeted ? "\n" : "", failure.step, failure.text,
			failure.err ? ": " : "", failure.err ? strerror(failure.err) : "");
		return EXIT_FAILED;
	}
	if (c.status >= 0)
		return c.status;
	if (c.ended)
		tell_end(c.record);
	else
		fputs("\ndetached\n", stderr);
	return 0;
}
