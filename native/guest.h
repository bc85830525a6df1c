/* guest.h - a guest and the keeper of it, while it is made or taken over: by the steps of its plan, with nothing left when one fails. */
#ifndef BERTH_GUEST_H
#define BERTH_GUEST_H

#include <stdint.h>

#include "fs.h"
#include "keep.h"
#include "plan.h"

struct guest {
	struct plan plan;
	uint64_t namespaces; /* CLONE_NEW* */
	struct keeper keeper;
	int sock;   /* to the guest-to-be */
	int userns; /* of the guest, -1 without one */
	struct scratch scratch; /* what mounts are made from, until all are made */
};

#define GUEST_INIT {.keeper = KEEPER_INIT, .sock = -1, .userns = -1, .scratch = {.fd = -1}}

/* What the plan says of namespaces, checked. 0, or -1 after fail(). */
int guest_namespaces(struct guest *g);

/* Clones the guest-to-be (child.c) into its namespaces and cgroups. 0, or -1 after fail(). */
int guest_clone(struct guest *g);

/* From the plan to init's exec. 0, or -1 after fail(): guest_undo() then takes back what was made. */
int guest_start(struct guest *g);
void guest_undo(struct guest *g);

/* Takes over a guest that has lost its keeper. 0, or -1 after fail(): guest_disown() then leaves it as it was. */
int guest_adopt(struct guest *g);
void guest_disown(struct guest *g);

#endif
