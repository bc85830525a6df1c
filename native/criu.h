/* criu.h - a criu of our own, spoken to by its RPC: `criu swrk FD`, messages of its images/rpc.proto, one a packet.
 * What is asked of it is put together in TypeScript; here are only the answers' few fields that decide something. */
#ifndef BERTH_CRIU_H
#define BERTH_CRIU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

/* What criu finds open. */
enum { CRIU_SOCKET_FD = 3, CRIU_CONSOLE_FD = 4 };

struct criu {
	pid_t pid;
	int pidfd, sock;
};
#define CRIU_INIT {.pid = 0, .pidfd = -1, .sock = -1}

/* enum criu_req_type */
enum { CRIU_DUMP = 1, CRIU_RESTORE = 2, CRIU_NOTIFY = 6 };

struct criu_message {
	uint32_t type;
	bool success;
	pid_t pid;	 /* of a notification or a restored init */
	int err;	 /* an errno, 0 where criu names none */
	char script[32]; /* the point that a notification tells of */
	char text[256];
};

/* Reads a message; false when it is malformed. Fuzzed by test/fuzz_criu.c. */
bool criu_parse(const uint8_t *bytes, size_t size, struct criu_message *out);

/* Runs argv as a child that dies with us, in the cgroup v2 directory of the fd (-1: where we are), console as its fd
 * CRIU_CONSOLE_FD (-1: none). */
int criu_spawn(struct criu *c, char *const argv[], int cgroup, int console);
/* Sends the request. 0, or -1 after fail(). */
int criu_ask(const struct criu *c, const struct plan_arg *request);
/* Answers each notification with what notify says (0: go on), until the verdict is there. Returns 0 with the verdict in
 * *out, or -1 after fail(). */
int criu_serve(struct criu *c, int (*notify)(void *, const struct criu_message *), void *arg, struct criu_message *out);
/* Ends it if it still runs, and reaps it. */
void criu_end(struct criu *c);

#endif
