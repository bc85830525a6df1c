/* front_card.h - what `ls` and `info` show of one container: its card, which berth-cli left (src/container/card.ts), and what
 * the kernel says now. */
#ifndef BERTH_FRONT_CARD_H
#define BERTH_FRONT_CARD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "front.h"
#include "plan.h"

enum { CELL = 128 };

struct card {
	char name[64];
	struct plan plan;
	char rundir[PATH_MAX];
	struct front_guest guest;
	bool frozen;
};

/* What all cards are read beside. */
struct now {
	char boot[64];     /* id of this boot */
	char cli[160];     /* stamp of berth-cli */
	uint64_t hundredths; /* since boot */
};

/* False when the host has what berth-cli looks at beside containers. */
bool card_begin(struct now *now, struct front_paths *paths, const char *cli);
/* Two texts in one; false when they are too long. */
bool card_put(char cell[CELL], const char *first, const char *second);
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
