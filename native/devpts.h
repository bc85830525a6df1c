/* devpts.h - the guest's console: a devpts instance of its own, held by its keeper. */
#ifndef BERTH_DEVPTS_H
#define BERTH_DEVPTS_H

#include <stdint.h>

#include "plan.h"

/* The same path on the host (in the keeper's private mount namespace) and in every guest: what an open console is
 * called must be the same on both sides for a restore. */
#define DEVPTS_DIR "/dev/berth"

struct devpts {
	int master; /* non-blocking; -1 without a console */
	int slave;  /* kept open, so that the master never sees the last close */
};

/* Mounts the instance and opens its only pty as the CONSOLE record says. */
int devpts_make(const struct plan *p, struct devpts *out);
/* A new slave end after a hangup. -1 with errno. */
int devpts_reopen(struct devpts *pty);
int devpts_resize(const struct devpts *pty, uint16_t rows, uint16_t columns);

#endif
