/* start.h - the two sides of a start: the launcher (guest.c) and the guest-to-be (child.c). */
#ifndef BERTH_START_H
#define BERTH_START_H

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

/* What the guest-to-be says, over a SOCK_SEQPACKET pair: ready, or what failed. Nothing more once it has exec'd. */
struct report {
	int32_t err;
	uint32_t ready;
	char step[32];
	char text[512];
};

/* Prints "trace STEP MICROSECONDS" (since the last one of this process) when the plan asks for it. */
void trace(const char *step);

/* The guest-to-be, from clone to exec. Over sock it gets: a byte once ids, limits and links are there; then its root,
 * and in the order of the plan the mounts of BIND_CONSOLE and BIND_HOST; sends its report; a byte to exec. */
_Noreturn void child_main(const struct plan *p, uint64_t namespaces, int sock);

#endif
