/* attach.h - the insides of verb `attach`: attach.c (records, plan, all of it), attach_options.c (its words),
 * attach_inside.c (the worker and the command), attach_relay.c (what stays outside). */
#ifndef BERTH_ATTACH_H
#define BERTH_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include "passwd.h"
#include "plan.h"
#include "pty.h"

enum { EXIT_FAILED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* Where the command finds the file of --script-fd. */
enum { SCRIPT_FD = 4 };

enum tty_mode { TTY_AUTO, TTY_ALWAYS, TTY_NEVER };

/* What becomes of one of the caller's fds 0, 1, 2. */
enum stdio {
	STDIO_PASS,  /* given to the command as it is */
	STDIO_RELAY, /* the command gets a pipe, the relay copies */
	STDIO_PTY,   /* the command gets the slave of a pty in the guest */
};

/* What the worker or the command says when it fails. Fixed size, at most PIPE_BUF: one write, one read. */
struct report {
	int32_t err;
	char step[32];
	char text[256];
};

struct attach {
	const char *user_spec, *cwd, *rundir, *program;
	enum tty_mode tty;
	int status_fd;
	int script; /* a file for the command to read, -1 for none */
	char **argv, **env;
	char *hidden; /* where the entries of env lie */
	size_t env_count;

	struct plan plan;
	int namespaces; /* CLONE_NEW* flags */
	pid_t init;
	int pidfd;

	enum stdio stdio[3];
	bool pty;
	int inner[3], outer[3]; /* pipes of relayed fds: the command's end, ours */
	struct terminal terminal;
	struct winsize size;

	int signals;        /* signalfd */
	int channel[2];     /* socket: the worker sends the command's pid, then the pty's master */
	int report[2];      /* pipe: struct report on failure; the command's end closes on exec */
	pid_t worker;
	struct user user;
	int master, slave;
	int program_fd; /* sealed copy of --program, or -1 */
};

/* attach_options.c: reads the words; a->env has room for argc entries. Keeps pointers into argv. */
int attach_options(struct attach *a, int argc, char **argv);
/* A process's command line is everybody's to read, in the guest too until the command's exec: no secret stays in it. */
int attach_hide_env(struct attach *a);

/* attach_script.c: puts a copy in the place of the file a->script, which the guest may only read. */
int attach_script(struct attach *a);

/* attach_inside.c: forks the worker, which brings the command into the guest. */
int fork_worker(struct attach *a);

/* attach_relay.c: until the command has ended and its output is out. Returns the exit status, or -1 after fail(). */
int relay(struct attach *a);
/* Takes over what the worker or the command reported. Returns false when they did not. */
bool take_report(const struct attach *a);
/* Prints the failure as the interface wants it. Foreign bytes in it must not reach a terminal. */
void complain(int status_fd);

#endif
