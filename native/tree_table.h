/* tree_table.h - which entry of the destination an inode of the source became, and what it was like then. */
#ifndef BERTH_TREE_TABLE_H
#define BERTH_TREE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct known {
	uint64_t ino, dst_ino;
	int64_t ctime;	 /* ns, of the source when it was read */
	uint32_t handle; /* where the destination's file handle lies, 0: none */
	uint32_t pass : 31;
	uint32_t settled : 1; /* nothing can have changed since without moving ctime */
};

/* Whose copy an inode of the destination is: inode numbers are used again as soon as they are free. */
struct owner {
	uint64_t dst_ino, ino;
};

/* Open addressing; ino 0 marks a free slot (no file system gives it out). */
struct table {
	struct known *slots;
	size_t size, used;
	struct owner *owners;
	size_t owners_size, owners_used;
	unsigned char *handles;
	size_t handles_used, handles_room;
};

void table_free(struct table *t);
/* Both pointers are good until the next table_add. */
struct known *table_find(const struct table *t, uint64_t ino);
/* The entry of ino, a new one (all 0) if there is none; NULL after fail(). */
struct known *table_add(struct table *t, uint64_t ino);

/* Inode k->ino has become dst_ino. made: just now, so the number may have been another's before. -1 after fail(). */
int table_bind(struct table *t, struct known *k, uint64_t dst_ino, bool made);
/* What ino has become, if that is dst_ino; or NULL. */
const struct known *table_bound(const struct table *t, uint64_t ino, uint64_t dst_ino);

/* Remembers the file handle of an open file of the destination. */
int table_keep_handle(struct table *t, struct known *k, int fd);
/* Opens it as O_PATH; -1 with errno (ESTALE: it is gone). mount is any descriptor on that file system. */
int table_open_handle(const struct table *t, const struct known *k, int mount);

#endif
