/* pty.h - terminals: raw mode, a pty in the guest's devpts, and the bounded copying of bytes between descriptors.
 * Shared by attach and console. */
#ifndef BERTH_PTY_H
#define BERTH_PTY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <termios.h>

/* The operator's terminal. fd is -1 when there is none. */
struct terminal {
	int fd;
	bool raw;
	struct termios saved;
};

/* Remembers the modes of fd, which must be a terminal. Both return 0 or -1 with errno. */
int terminal_open(struct terminal *t, int fd);
int terminal_raw(struct terminal *t);
/* Puts the modes back; does nothing when they were not changed. errno survives. */
void terminal_restore(struct terminal *t);
/* Lets SIGTSTP have its usual effect: modes back, stop, raw again once continued. */
void terminal_stop(struct terminal *t);

/* A new pty of the devpts instance on the guest's /dev/pts; the current directory must be the guest's root.
 * Nothing but the ptmx of a devpts is accepted there. Returns 0 or -1 after fail(). */
int guest_pty(int *master, int *slave);

/* A description of its own for an output that may block, so that O_NONBLOCK does not leak to whoever shares it.
 * Returns a new fd, or -1 when this kind of file cannot have one. */
int own_nonblocking(int fd);

/* Bytes on their way. Bounded: it reads when it has room and writes when the sink takes it; neither side can block the other. */
struct flow {
	int from, to;     /* -1: that end is gone */
	bool eof;         /* nothing more will be read */
	bool broken;      /* nothing more can be written */
	bool ending;      /* the writer has exited: take what is there, do not wait for more */
	bool socket;      /* the sink is one */
	char last;        /* the last byte read, '\n' before the first */
	size_t chunk;     /* most to write at once */
	size_t allowance; /* while ending: how much may still be read */
	size_t start, end;
	char buf[32768];
};

void flow_init(struct flow *f, int from, int to);
/* The writer has exited: from now on flow_drain ends at what is there (at most 1 MiB, should something else go on writing). */
void flow_end(struct flow *f);
/* What to poll for: p[0] is the source, p[1] the sink (fd -1: nothing). */
void flow_poll(const struct flow *f, struct pollfd p[2]);
/* Moves what can be moved after poll. */
void flow_move(struct flow *f, const struct pollfd p[2]);
/* Reads what is there without waiting; the source must be O_NONBLOCK. */
void flow_drain(struct flow *f);
/* Puts bytes behind what is still to be written. False when there is no room. */
bool flow_put(struct flow *f, const char *bytes, size_t len);
static inline size_t flow_held(const struct flow *f)
{
	return f->end - f->start;
}

/* Signals that a relay handles by signalfd, blocked here. HUP, INT and QUIT stay ignored when they came ignored (nohup, a
 * shell's background job). with_stop adds SIGTSTP and SIGCONT. Returns the signalfd, or -1 with errno. */
int relay_signals(bool with_stop);

#endif
