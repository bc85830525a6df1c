/* keep.h - the keeper's insides: keeper.c (loop), keeper_clients.c, keeper_console.c, keeper_end.c. */
#ifndef BERTH_KEEP_H
#define BERTH_KEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "keeper.h"
#include "plan.h"
#include "devpts.h"

enum { KEEPER_CLIENTS = 16, KEEPER_RING = 65536, KEEPER_OUT = 1024, KEEPER_IN = 512 };

struct keeper {
	pid_t pid;
	uint64_t starttime;
	int pidfd;
	int rundir, listen;
	int lock;     /* an open description of the container's lock file, its own */
	int host_mnt; /* the mount namespace of the caller */
	int control;  /* the guest is killed when its other end is closed; while it is restored: what its images wait for; -1: it lives for itself */
	struct devpts pty;
	char *name, *events, *log;
	uint64_t log_limit;
	char **reboot;  /* NULL terminated, NULL for none */
	char **cgroups; /* to remove at the end */
	char **end_writes; /* file and text by turns, NULL terminated: written at the end */
	char *oom_file;
	bool oom_v1;
};
#define KEEPER_INIT {.pidfd = -1, .rundir = -1, .listen = -1, .lock = -1, .host_mnt = -1, .control = -1, .pty = {-1, -1}}

/* Takes from the plan what the keeper needs later, opens RUNDIR and the socket. */
int keeper_prepare(struct keeper *k, const struct plan *p);
/* Writes RUNDIR/init. */
int keeper_record(struct keeper *k);
/* Stays until the guest has ended and all of it is released. */
_Noreturn void keeper_run(struct keeper *k);

/* keeper_console.c: from the pty to the ring and the log. */
struct console {
	uint8_t ring[KEEPER_RING];
	uint64_t head; /* bytes ever put into the ring */
	int log;
	uint64_t log_size;
	uint64_t reopen_at; /* after a hangup: when to look again, microseconds; 0: now */
	uint64_t read_at;   /* after a flood: when to read again, microseconds; 0: now */
	uint64_t credit;    /* bytes that may be read before that */
	uint64_t credited;  /* when credit was last counted */
};
extern struct console console;
/* Reads what there is. After a hangup the slave end is opened anew a little later. */
void console_read(struct keeper *k);
void console_drain(struct keeper *k);
void console_reopen(struct keeper *k, uint64_t now);

/* keeper_clients.c */
struct client {
	int fd;
	uint32_t op; /* 0: has not said yet */
	uint64_t pos;  /* in the ring's stream */
	bool said_exit, said_gone, stuck; /* stuck: the guest does not take its input */
	uint8_t type;      /* of the frame being received */
	uint16_t left;     /* of its payload */
	uint16_t in, out, sent;
	uint8_t inbuf[KEEPER_IN], outbuf[KEEPER_OUT + 4];
};
extern struct client clients[KEEPER_CLIENTS];
void clients_init(void);
void clients_accept(struct keeper *k);
/* What to poll for. */
short client_events(const struct client *c);
void client_ready(struct keeper *k, struct client *c, short revents);
bool clients_stuck(void);
/* Input that waited for the guest. */
void clients_unstick(struct keeper *k);
/* EXIT and GONE for all, sent once what came before has been. */
void clients_say_exit(const char *json);
void clients_say_gone(void);
/* Waits until everything is sent, at most ms. */
void clients_flush(struct keeper *k, int ms);

/* keeper_end.c */
/* Reaps init, writes RUNDIR/exit; *reboot tells whether the guest asked for one. */
void end_record(struct keeper *k, uint64_t oom_kills, bool *reboot);
/* With the lock held: releases what is left. False when RUNDIR/init is another's: then it is no business of ours. */
bool end_release(struct keeper *k);
/* Execs the reboot command with the lock on fd 3. */
_Noreturn void end_reboot(struct keeper *k);
/* One line to EVENTS; fields is the rest of the object, beginning with a comma, or "". */
void end_event(const struct keeper *k, const char *event, const char *fields);

#endif
