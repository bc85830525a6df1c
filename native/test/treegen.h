/* treegen.h - trees of any kind, changes at random, and a comparison that shares nothing with what it judges. */
#ifndef BERTH_TREEGEN_H
#define BERTH_TREEGEN_H

#include <stdbool.h>
#include <stdint.h>

/* The next number of a sequence that the seed decides. */
struct chance {
	uint64_t state;
};
uint32_t draw(struct chance *c, uint32_t below);

/* Makes one change at random somewhere below the directory. What cannot be done is not done. */
void mutate(struct chance *c, int root);

/* NULL when both are the same in type, mode, owner, times, attributes, content, links and holes; else the first that is not. */
const char *difference(int src, int dst);

/* Removes all below a directory. */
void empty(int root);

#endif
