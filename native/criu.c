/* criu.c - runs criu and talks to it; and the verb `criu`, by which TypeScript does. */
#include "criu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caller.h"
#include "sys.h"
#include "unrepair.h"
#include "util.h"
#include "verbs.h"

enum { REQUEST_MAX = 1 << 16, MESSAGE_MAX = 1 << 16 };

/* From here on criu's: exactly its fds, no signal of ours. */
static _Noreturn void exec_criu(char *const argv[], pid_t parent, int sock, int console)
{
	static char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	for (int n = 1; n < NSIG; n++)
		(void)signal(n, SIG_DFL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Out of the way of the numbers that they get. */
	sock = fcntl(sock, F_DUPFD_CLOEXEC, 64);
	console = console < 0 ? -1 : fcntl(console, F_DUPFD_CLOEXEC, 64);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			_exit(126);
	if (sock < 0 || dup2(sock, CRIU_SOCKET_FD) < 0 || (console >= 0 && dup2(console, CRIU_CONSOLE_FD) < 0))
		_exit(126);
	if (close_range(console >= 0 ? CRIU_CONSOLE_FD + 1 : CRIU_SOCKET_FD + 1, ~0U, 0) < 0)
		_exit(126);
	execve(argv[0], argv, env);
	_exit(127);
}

int criu_spawn(struct criu *c, char *const argv[], int cgroup, int console)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail("criu", "socketpair");
	c->sock = pair[0];
	cleanup_fd int theirs = pair[1];
	struct clone_args args = {
		.flags = CLONE_PIDFD | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)&c->pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
	};
	pid_t self = getpid();
	c->pid = sys_clone3(&args);
	if (c->pid == 0)
		exec_criu(argv, self, theirs, console);
	return c->pid < 0 ? fail("criu", "clone3") : 0;
}

/* Killed, it leaves children that hold the socket: its own end counts too, once all that it said has been heard. */
static int await_word(const struct criu *c)
{
	struct pollfd fds[] = {{.fd = c->sock, .events = POLLIN}, {.fd = c->pidfd, .events = POLLIN}};
	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return fail("criu", "poll");
	if (fds[0].revents != 0)
		return 0;
	return poll(fds, 1, 0) == 1 ? 0 : fail_with(0, "criu", "it ended without a word");
}

static int hear(struct criu *c, struct criu_message *out)
{
	static uint8_t buf[MESSAGE_MAX];
	ssize_t n;
	if (await_word(c) < 0)
		return -1;
	do
		n = recv(c->sock, buf, sizeof buf, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return fail_with(0, "criu", "it ended without a word");
	return criu_parse(buf, (size_t)n, out) ? 0 : fail_with(EPROTO, "criu", "its answer is malformed");
}

/* criu_req: type NOTIFY, notify_success. */
static int answer(struct criu *c, bool success)
{
	const uint8_t reply[] = {1 << 3, CRIU_NOTIFY, 3 << 3, success};
	return send(c->sock, reply, sizeof reply, MSG_NOSIGNAL) == sizeof reply ? 0 : fail("criu", "it does not listen");
}

int criu_ask(const struct criu *c, const struct plan_arg *request)
{
	ssize_t sent = send(c->sock, request->data, request->len, MSG_NOSIGNAL);
	return sent == (ssize_t)request->len ? 0 : fail("criu", "it does not run");
}

int criu_serve(struct criu *c, int (*notify)(void *, const struct criu_message *), void *arg, struct criu_message *out)
{
	bool refused = false;
	for (;;) {
		if (hear(c, out) < 0)
			return -1;
		if (out->type != CRIU_NOTIFY)
			break;
		/* Why the first one failed is what counts. */
		struct failure first = failure;
		bool good = notify(arg, out) == 0;
		if (!good && refused)
			failure = first;
		refused = refused || !good;
		struct failure why = failure;
		if (answer(c, good) < 0) {
			failure = good ? failure : why;
			return -1;
		}
	}
	if (out->success)
		return 0;
	return refused ? -1 : fail_with(out->err > 0 ? out->err : 0, "criu", "%s", *out->text ? out->text : "its log tells why");
}

void criu_end(struct criu *c)
{
	siginfo_t info;
	close_fd(&c->sock);
	if (c->pidfd < 0)
		return;
	(void)sys_pidfd_send_signal(c->pidfd, SIGKILL);
	while (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	close_fd(&c->pidfd);
}

/* Tells the caller and asks whether to go on. A caller that is gone does not want to, a criu that is gone cannot. */
static int ask_caller(void *arg, const struct criu_message *m)
{
	const struct criu *c = arg;
	struct pollfd fds[] = {{.fd = CONTROL_FD, .events = POLLIN}, {.fd = c->pidfd, .events = POLLIN}};
	char byte = 'n';
	ssize_t n;
	(void)dprintf(STATUS_FD, "notify %s %d\n", m->script, (int)m->pid);
	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return fail(m->script, "poll");
	if (fds[0].revents == 0)
		return fail_with(0, "criu", "it ended without a word");
	do
		n = read(CONTROL_FD, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 && byte == 'y' ? 0 : fail_with(ECANCELED, m->script, "the caller took it back");
}

static int read_request(struct plan_arg *request)
{
	static char buf[REQUEST_MAX];
	size_t used = 0;
	for (ssize_t n = 1; n > 0 && used < sizeof buf; used += (size_t)n)
		if ((n = read(0, buf + used, sizeof buf - used)) < 0)
			return fail("request", "cannot be read");
	*request = (struct plan_arg){buf, (uint32_t)used};
	return used < sizeof buf ? 0 : fail_with(E2BIG, "request", "longer than %d bytes", REQUEST_MAX);
}

static int run_criu(pid_t guest, char **argv)
{
	struct criu c = CRIU_INIT;
	struct criu_message m;
	struct plan_arg request = {0};
	if (caller_leave(CONTROL_FD) < 0 || read_request(&request) < 0 || criu_spawn(&c, argv, -1, -1) < 0)
		return -1;
	int result = criu_ask(&c, &request) < 0 ? -1 : criu_serve(&c, ask_caller, &c, &m);
	struct failure first = failure;
	/* A dump ends its guest after the verdict was written: let it. */
	siginfo_t info;
	while (result == 0 && waitid(P_PIDFD, (id_t)c.pidfd, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	criu_end(&c);
	/* At once: until then what its processes send is refused. */
	if (result < 0)
		(void)unrepair(guest);
	failure = first;
	if (result == 0)
		(void)dprintf(STATUS_FD, "ok %d\n", (int)m.pid);
	return result;
}

int criu_main(int argc, char **argv)
{
	pid_t guest = argc < 4 ? 0 : (pid_t)strtol(argv[1], NULL, 10);
	if (guest <= 0 || strcmp(argv[2], "--") != 0)
		(void)fail_with(EINVAL, "usage", "criu PID -- ARGV...");
	else if (run_criu(guest, argv + 3) == 0)
		return 0;
	return caller_told();
}
