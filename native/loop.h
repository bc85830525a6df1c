/* loop.h - loop devices of a guest's images and their record RUNDIR/loop. */
#ifndef BERTH_LOOP_H
#define BERTH_LOOP_H

#include <stdbool.h>

/* Waits (5 s) for what is recorded in rundir to be let go of and clears it. -1 after fail() when it is still in use.
 * Nothing recorded is fine. A device that has been given to another image meanwhile is left alone. */
int loop_release(const char *step, int rundir);
struct loop_how {
	bool direct_io, read_only;
	bool shared; /* with whoever has bound it: the same device, so that the kernel makes one file system of all mounts */
};
/* Binds a free loop device to image, records it; *name (at least 32 bytes) is its path. Returns an fd that keeps it
 * bound until a file system on it does. An image that is bound already is refused, unless it is shared; a shared one is
 * not recorded, since others may use it longer. */
int loop_bind(int rundir, const char *image, struct loop_how how, char *name);

#endif
