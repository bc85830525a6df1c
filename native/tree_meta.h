/* tree_meta.h - what an entry carries besides its content: owner, mode, times, extended attributes. */
#ifndef BERTH_TREE_META_H
#define BERTH_TREE_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Ids in [from, from + count) become to + (id - from); others stay. count 0: none moves. */
struct shift {
	uint32_t from, to, count;
};

uint32_t shift_id(const struct shift *s, uint32_t id);
/* Is this attribute copied? Of overlayfs's own only what does not tie a tree to inodes and file systems. */
bool meta_keeps(const char *name);
/* Moves the ids inside the value of a POSIX ACL or of a version 3 capability; leaves any other bytes alone. */
void meta_shift_value(const struct shift *s, const char *name, unsigned char *value, size_t len);

/* Makes owner, attributes, mode and times of dst those of src, whose stat is st. Both are open; special files and
 * symbolic links as O_PATH. -1 after fail(). */
int meta_copy(const struct shift *s, int src, int dst, const struct stat *st);
/* Times only. */
int meta_times(int dst, const struct stat *st);

#endif
