/* front.h - what the front does itself (front.c, front_start.c), and what both parts of it look at. */
#ifndef BERTH_FRONT_H
#define BERTH_FRONT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct front_paths {
	char lib[PATH_MAX];    /* of the instance: containers and pools lie in it */
	char run[PATH_MAX];    /* of the instance: RUNDIRs and .lock lie in it */
	char rundir[PATH_MAX]; /* of the container */
	char home[PATH_MAX];   /* its directory with config.yaml */
};

/* Whether the word can be a container's name, which is then no number's. As src/base/plain-name.ts has it. */
bool front_is_name(const char *word);
/* As src/base/paths.ts has it. False for a relative BERTH_ROOT, which is left to berth-cli. */
bool front_paths(struct front_paths *p, const char *name);
/* DIR/FILE into a buffer of PATH_MAX. */
bool front_join(char *out, const char *dir, const char *file);
/* Whether this may be done without berth-cli at all: by root, with open standard files, untraced. */
bool front_may(void);

/* The container's lock, where nobody has it for long: an fd, or -1. Others who wait are told that this command has it. As
 * src/kernel/lock-file.ts has it, but the file is not made. */
int front_lock(const struct front_paths *p, const char *name, const char *command);

/* A guest by RUNDIR/init (native/keeper.h). */
struct front_guest {
	bool running;
	int pid;
	uint64_t ticks; /* when init began, since boot, in hundredths of a second */
};
/* boot is the id of this one, with or without a newline. False when somebody has to look: its keeper has died. */
bool front_find_guest(const char *rundir, const char *boot, struct front_guest *g);
/* Whether a guest that runs is frozen, by RUNDIR/attach; yes where that does not tell. */
bool front_is_frozen(const char *rundir);

/* `start NAME` as it was prepared. 0 when the guest runs, -1 when this is berth-cli's; cli is that program. */
int front_start(const char *name, const char *cli);

/* `stop --kill NAME`; words as given. The exit status, or -1 when this is berth-cli's. */
int front_stop(char *const words[2]);

/* `ls`, and `info NAME` of one that runs, from their cards. The exit status, or -1 when this is berth-cli's. */
int front_ls(const char *cli);
int front_info(const char *name, const char *cli);

#endif
