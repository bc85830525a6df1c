/* prepared.h - a start that was prepared: the records from OP_PREPARED on (plan.h). Nothing is said of what does not hold
 * or cannot be made: that is left to berth-cli, which makes everything anew. */
#ifndef BERTH_PREPARED_H
#define BERTH_PREPARED_H

#include <stdbool.h>

#include "plan.h"

/* Reads a prepared start, which only root may have been able to write. */
bool prepared_read(const char *path, struct plan *p);
/* "DEVICE INODE SIZE MTIME CTIME" of a file, links followed; false when there is none. */
bool prepared_stamp(const char *path, char *out, size_t size);
/* Whether the mount table has a line with these words. */
bool prepared_mounted(const char *words);
/* Whether all is as it was. */
bool prepared_holds(const struct plan *p);
/* Makes what is to be made before the launch. */
bool prepared_make(const struct plan *p);
/* The OP_STATE record of the state that state.json tells, or NULL; *launch is then the OP_LAUNCH of it. */
const struct plan_record *prepared_state(const struct plan *p, const char *state, const struct plan_record **launch);

#endif
