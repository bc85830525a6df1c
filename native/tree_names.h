/* tree_names.h - the names in a directory, and removing what lies below one. */
#ifndef BERTH_TREE_NAMES_H
#define BERTH_TREE_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Names without "." and "..": text[at[i]] begins the i-th, in no order until sorted. */
struct names {
	char *text;
	size_t used, room;
	uint32_t *at;
	size_t count, slots;
};

void names_free(struct names *n);
#define cleanup_names __attribute__((cleanup(names_free)))

static inline const char *names_get(const struct names *n, size_t i)
{
	return n->text + n->at[i];
}

/* Reads all names of the directory from its beginning; what was there before goes. -1 after fail(). */
int names_read(struct names *n, int dir);
/* By bytes; the first count of them. */
void names_sort(struct names *n, size_t count);

/* Removes name and all below it, whatever it is; no name is fine. Needs neither stack nor descriptors for the depth. */
int remove_entry(int dir, const char *name);

#endif
