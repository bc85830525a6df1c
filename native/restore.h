/* restore.h - bringing a guest back from a checkpoint: the keeper's side. */
#ifndef BERTH_RESTORE_H
#define BERTH_RESTORE_H

#include "keep.h"
#include "plan.h"

/* Carries out a plan with CRIU and CRIU_REQUEST: as start, but criu makes the guest, as a child of ours. */
int restore_guest(const struct plan *p, struct keeper *k);

#endif
