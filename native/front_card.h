/* front_card.h - what `ls` and `info` show of one container: its card, which berth-cli left (src/container/card.ts), and what
 * the kernel says now. */
#ifndef BERTH_FRONT_CARD_H
#define BERTH_FRONT_CARD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

struct card {
	char name[64];
	struct plan plan;
	char rundir[PATH_MAX];
	bool running, frozen;
	int pid;
	uint64_t ticks; /* when init began, since boot, in hundredths of a second */
};

/* What all cards are read beside. */
struct now {
	char boot[64];     /* id of this boot */
	char cli[160];     /* stamp of berth-cli */
	uint64_t hundredths; /* since boot */
};

bool card_now(struct now *now, const char *cli);
/* Reads the card and what its container does; false when any of it is berth-cli's to look into. card_free() in any case. */
bool card_read(struct card *c, const struct now *now, const char *name);
void card_free(struct card *c);
/* A figure of one that runs: those of OP_LIVE, "disk" (bytes), "inodes", "inodes-all". False when nothing tells it. */
bool card_figure(const struct card *c, const char *which, uint64_t *out);
/* Whether its root's file system is its own. */
bool card_counts_disk(const struct card *c);
/* Seconds since init began. */
uint64_t card_uptime(const struct card *c, const struct now *now);

#endif
