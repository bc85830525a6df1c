/* tree_copy.h - making one directory equal to another in passes, each of which copies only what changed since. */
#ifndef BERTH_TREE_COPY_H
#define BERTH_TREE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "tree_meta.h"
#include "tree_names.h"
#include "tree_table.h"

/* A directory on the way from the root to where the pass is. Of deep trees only the last ones are open. */
struct level {
	int src, dst;
	uint64_t dst_ino;
	struct stat st; /* of src, from before its names were read */
	struct names names;
	size_t next, kept; /* names read so far; those of them that dst has to have are the first `kept` */
	bool fresh;	   /* dst was made by this pass: nothing can be in it */
	bool stable;	   /* the same names lead to the same inodes as in an earlier pass */
	bool touched;	   /* something in dst was made or removed */
};

struct copy {
	struct shift shift;
	bool keep_devices;
	int src, dst;
	dev_t src_dev;
	uint64_t dst_ino;
	dev_t dst_dev;
	struct table table;
	struct level *levels;
	size_t depth, room;
	uint32_t pass; /* below 2^31 */
	int64_t granule;	/* ns: how long a change may take to show in ctime */
	int64_t settled_before; /* ns: what has an older ctime cannot change any more without getting a newer one */
	bool no_clone;		/* FICLONE is refused between these two */
	uint64_t entries, copied, removed, bytes;
	uint64_t next_progress; /* us */
	uint32_t unasked;	/* times that the clock was not looked at */
};

int64_t nanoseconds(const struct timespec *t);

/* Opens both directories. -1 after fail(). */
int copy_open(struct copy *c, const char *src, const char *dst);
void copy_close(struct copy *c);
/* One pass; sync: flush src first, so that later writes to mapped pages are seen. */
int copy_pass(struct copy *c, bool sync);
/* Says how far it is, now and then. */
int copy_progress(struct copy *c);

/* Any entry but a directory: name of level l, whose stat was st. 0 also when it has vanished. */
int copy_entry(struct copy *c, struct level *l, const char *name, const struct stat *st);
/* Is an entry of this stat copied? Devices are not, unless told; nor what another file system holds. */
bool copy_wants(const struct copy *c, const struct stat *st);
/* Makes the content of dst that of src, a regular file whose stat is st. */
int copy_data(struct copy *c, int src, int dst, const struct stat *st);
/* dst, made just now or not, is what the source's entry was when it had stat st. */
int copy_remember(struct copy *c, const struct stat *st, int dst, bool made);

#endif
