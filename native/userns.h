/* userns.h - user namespaces: the id maps of a guest's, and namespaces made for a moment to id-map mounts by. */
#ifndef BERTH_USERNS_H
#define BERTH_USERNS_H

#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

/* Gives pid, alone in a new user namespace, the maps of the plan's IDMAP records. */
int userns_map(const struct plan *p, pid_t pid);
/* An fd of a user namespace with the plan's maps and nobody in it; -1 after fail(). */
int userns_of_plan(const struct plan *p);
/* The same, by which a mount shows what belongs on disk to the ids from `from` on as the guest's, from its first on (from
 * 0 on where the plan has no maps). */
int userns_shifted(const struct plan *p, uint32_t from);

#endif
