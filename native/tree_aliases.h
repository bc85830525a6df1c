/* tree_aliases.h - hard links of a lower layer of which the guest has written to one name. */
#ifndef BERTH_TREE_ALIASES_H
#define BERTH_TREE_ALIASES_H

#include <stdint.h>

/* With index=on such names stay one file, held together by work/index alone. Copies up those that are not in the upper
 * directory yet, so that the upper can be read without its index. merged is the root of the mounted overlay (which has
 * nfs_export=on), work its work directory. Counts the names that were looked at in *count. -1 after fail(). */
int copy_up_aliases(const char *merged, const char *work, uint64_t *count);

#endif
