/* attach_relay.c - verb `attach`: the relay, which stays outside and carries bytes and signals. */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

struct relay {
	struct attach *a;
	pid_t pid;       /* the command, 0 while it is not known */
	bool waiting;    /* for something on the channel */
	int status;      /* exit status of the whole, -1 while undecided */
	int code;        /* the command's, -1 while it runs */
	bool sent_eof;
	struct flow input, output[3];
	int inputs, outputs;
};

void complain(int status_fd)
{
	char line[1024];
	int n = status_fd >= 0
			? snprintf(line, sizeof line, "error %s %d %s", failure.step, failure.err, failure.text)
			: snprintf(line, sizeof line, "berth-launch: %s: %s%s%s", failure.step, failure.text, failure.err ? ": " : "",
				   failure.err ? strerror(failure.err) : "");
	if (n < 0)
		return;
	size_t len = (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 32 || (unsigned char)line[i] > 126)
			line[i] = '?';
	line[len] = '\n';
	if (write_all(status_fd >= 0 ? status_fd : 2, line, len + 1) < 0)
		return; /* the exit status tells */
}

bool take_report(const struct attach *a)
{
	static struct report r;
	if (read(a->report[0], &r, sizeof r) != (ssize_t)sizeof r)
		return false;
	r.step[sizeof r.step - 1] = r.text[sizeof r.text - 1] = '\0';
	fail_with(r.err, r.step, "%s", r.text);
	return true;
}

static void start_pty(struct relay *r, int master)
{
	struct attach *a = r->a;
	a->master = master;
	/* Our own slave keeps the pty alive while the command has closed its own for a moment; the end is the command's exit. */
	a->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	flow_init(&r->input, 0, master);
	r->inputs = 1;
	int out = own_nonblocking(1);
	flow_init(&r->output[r->outputs++], master, out >= 0 ? out : 1);
}

static void start_pipes(struct relay *r)
{
	struct attach *a = r->a;
	for (int fd = 0; fd < 3; fd++) {
		if (a->stdio[fd] != STDIO_RELAY)
			continue;
		close_fd(&a->inner[fd]);
		if (fd == 0) {
			flow_init(&r->input, 0, a->outer[0]);
			r->inputs = 1;
			continue;
		}
		int out = own_nonblocking(fd);
		flow_init(&r->output[r->outputs++], a->outer[fd], out >= 0 ? out : fd);
	}
}

static void reap(struct relay *r)
{
	int status;
	if (r->code >= 0 || r->pid == 0 || waitpid(r->pid, &status, WNOHANG) != r->pid)
		return;
	r->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	for (int i = 0; i < r->outputs; i++)
		flow_end(&r->output[i]);
}

/* The worker's news: the command's pid, then the pty. */
static int take_news(struct relay *r)
{
	struct attach *a = r->a;
	if (r->pid == 0) {
		pid_t pid;
		ssize_t n = read(a->channel[0], &pid, sizeof pid);
		if (n != (ssize_t)sizeof pid || pid <= 0) {
			int status;
			if (take_report(a))
				return -1;
			if (waitpid(a->worker, &status, 0) == a->worker && WIFSIGNALED(status))
				return fail_with(0, "worker", "killed by signal %d on its way into the guest", WTERMSIG(status));
			return fail_with(EPROTO, "worker", "ended without a word");
		}
		r->pid = pid;
		start_pipes(r);
		r->waiting = a->pty;
	} else {
		int master = recv_fd(a->channel[0]);
		if (master < 0)
			return fail("pty", "not received");
		start_pty(r, master);
		r->waiting = false;
	}
	if (!r->waiting)
		reap(r);
	return 0;
}

static void forward(const struct relay *r, const struct signalfd_siginfo *si)
{
	/* The pid cannot be another's: it is our child and not yet reaped. What the terminal sent goes to the command's
	 * whole process group, as the terminal would have done it. */
	int sig = (int)si->ssi_signo;
	if (si->ssi_code == SI_KERNEL && kill(-r->pid, sig) == 0)
		return;
	kill(r->pid, sig);
}

static void resize(const struct attach *a)
{
	struct winsize size;
	for (int fd = 0; fd < 3; fd++)
		if (ioctl(fd, TIOCGWINSZ, &size) == 0) {
			ioctl(a->master, TIOCSWINSZ, &size);
			return;
		}
}

static void take_signal(struct relay *r, const struct signalfd_siginfo *si)
{
	struct attach *a = r->a;
	int sig = (int)si->ssi_signo;
	bool deadly = sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;
	if (sig == SIGCHLD) {
		reap(r);
	} else if (sig == SIGTSTP) {
		/* We never stop: the command is our child in the guest's pid namespace, which cannot end before we reap it. */
		if (!a->pty && r->pid != 0 && r->code < 0)
			forward(r, si);
	} else if (sig == SIGCONT) {
		/* A shell may have set its own modes in the meantime. */
		if (a->terminal.raw && terminal_raw(&a->terminal) < 0)
			r->status = 128 + SIGHUP;
		if (a->master >= 0)
			resize(a);
		if (!a->pty && r->pid != 0 && r->code < 0)
			forward(r, si);
	} else if (sig == SIGWINCH && a->pty) {
		if (a->master >= 0)
			resize(a);
	} else if (deadly && (r->pid == 0 || r->code >= 0)) {
		/* No command yet (the worker may hang in the guest) or no more (its output is not being read). */
		if (r->pid == 0)
			kill(a->worker, SIGKILL);
		r->status = 128 + sig;
	} else if (sig != SIGPIPE && r->pid != 0 && r->code < 0) {
		forward(r, si);
	}
}

/* End of input on a pty is a character. One more when a line is begun, which the first only sends off. */
static void send_eof(struct relay *r)
{
	struct termios t;
	char eof[2] = {4, 4};
	if (tcgetattr(r->a->master, &t) == 0)
		eof[0] = eof[1] = (char)t.c_cc[VEOF];
	r->sent_eof = flow_put(&r->input, eof, r->input.last == '\n' ? 1 : 2);
}

static void check_flows(struct relay *r)
{
	struct attach *a = r->a;
	if (r->inputs && a->pty) {
		if (r->input.eof && a->terminal.fd >= 0)
			r->status = 128 + SIGHUP; /* the operator's terminal is gone; closing the pty hangs up on the command */
		else if (r->input.eof && !r->sent_eof)
			send_eof(r);
	} else if (r->inputs && (r->input.broken || (r->input.eof && flow_held(&r->input) == 0))) {
		close_fd(&a->outer[0]);
		r->inputs = 0;
	}
	for (int i = 0; i < r->outputs; i++) {
		struct flow *f = &r->output[i];
		if (!f->broken || f->from < 0)
			continue;
		if (f->from == a->master)
			r->status = 128 + SIGPIPE;
		else
			close(f->from); /* the command gets its SIGPIPE */
		f->from = -1;
	}
}

/* After the command's end: whether all that it wrote has been written out. */
static bool drained(struct relay *r)
{
	bool all = true;
	for (int i = 0; i < r->outputs; i++) {
		struct flow *f = &r->output[i];
		flow_drain(f);
		all = all && (f->broken || (f->from < 0 && flow_held(f) == 0) || (f->eof && flow_held(f) == 0));
	}
	return all;
}

static int take_signals(struct relay *r)
{
	struct signalfd_siginfo si[8];
	ssize_t n = read(r->a->signals, si, sizeof si);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : fail("signals", "signalfd");
	for (size_t i = 0; i < (size_t)n / sizeof si[0]; i++)
		take_signal(r, &si[i]);
	return 0;
}

int relay(struct attach *a)
{
	/* Holds the buffers: too large for a stack, and never touched beyond what is used. */
	static struct relay r = {.waiting = true, .status = -1, .code = -1};
	r.a = a;
	while (r.status < 0 && !(r.code >= 0 && !r.waiting && drained(&r))) {
		struct pollfd p[10] = {{.fd = a->signals, .events = POLLIN},
				       {.fd = r.waiting ? a->channel[0] : -1, .events = POLLIN}};
		nfds_t n = 2;
		bool input = r.inputs && r.code < 0;
		if (input) {
			flow_poll(&r.input, p + n);
			n += 2;
		}
		nfds_t first_output = n;
		for (int i = 0; i < r.outputs; i++, n += 2)
			flow_poll(&r.output[i], p + n);
		if (poll(p, n, -1) < 0) {
			if (errno == EINTR)
				continue;
			return fail("relay", "poll");
		}
		if (p[0].revents && take_signals(&r) < 0)
			return -1;
		if (p[1].revents && take_news(&r) < 0)
			return -1;
		if (input)
			flow_move(&r.input, p + 2);
		for (nfds_t i = 0, at = first_output; at < n; i++, at += 2)
			flow_move(&r.output[i], p + at);
		check_flows(&r);
	}
	return r.status >= 0 ? r.status : r.code;
}
