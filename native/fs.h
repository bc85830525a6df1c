/* fs.h - file systems of a guest: made by the host as detached mounts (fs_root.c), filled (fs_nodes.c),
 * and mounted by the guest-to-be (fs_guest.c, fs_mask.c). Functions return 0 or an fd, or -1 after fail(). */
#ifndef BERTH_FS_H
#define BERTH_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"

/* fs_mount.c: primitives. */
struct mount_flags {
	uint64_t set; /* MOUNT_ATTR_* */
	bool idmap, rec;
};
/* Adds what a comma separated list says. */
int fs_flags(const char *step, const char *list, struct mount_flags *out);
/* fsopen, fsconfig of each KEY=VALUE or KEY, fsmount: a detached mount. The kernel's own messages go into the error. */
int fs_make(const char *step, const char *fstype, const struct plan_arg *options, size_t count, uint64_t attributes);
/* A detached private clone of what (dir, path) names, with the flags; idmap by the user namespace userns. */
int fs_clone(const char *step, int dir, const char *path, const struct mount_flags *flags, int userns);
/* Attaches a detached mount on what the O_PATH fd target names. text is for the error. */
int fs_attach(const char *step, int mount, int target, const char *text);

/* fs_lock.c: replaces what the fd mount is by a clone whose attributes the guest's root cannot change. */
int fs_lock(const char *step, int mount, int userns);

/* fs_root.c: the host's part. */
struct scratch {
	int fd; /* of the tmpfs, -1 before it is mounted */
	const char *path;
};
/* Carries out SCRATCH LOOP BIND OWNED_DIR ROOT_*: the guest's root as a detached mount. userns: -1 for none. What was
 * made on the way stays below *scratch until fs_scratch_drop. */
int fs_root(const struct plan *p, int userns, int rundir, struct scratch *scratch);
/* The same for a plan that makes no root. */
int fs_sources(const struct plan *p, int userns, int rundir, struct scratch *scratch);
/* The detached mount that a BIND_HOST record is about. */
int fs_bind_host(const struct plan_record *r, int userns, const struct scratch *scratch);
int fs_scratch_drop(struct scratch *scratch);

/* fs_nodes.c: NODE DIR SYMLINK below root. */
int fs_nodes(const struct plan *p, int root);
/* Makes the directories of path that are missing, mode 0755; with leaf also the last component. */
int fs_parents(const char *step, int root, const char *path, bool leaf);
/* Opens the directory that holds path's last component, which *base then names. */
int fs_parent(const char *step, int root, const char *path, const char **base);

/* fs_guest.c: MOUNT to SYSCTL in the order of the plan. next() hands over the next mount made by the host. */
int fs_guest(const struct plan *p, int root, int (*next)(void *), void *arg);
/* Opens a character device of the guest and checks that it is this one. */
int fs_open_device(const char *step, int root, const char *path, int flags, unsigned major, unsigned minor);

/* fs_mask.c */
/* A path below /proc or /sys must be a file of the kernel's and nothing that was put there (CVE-2025-52881). */
int fs_check_kernel(const char *step, int fd, const char *path);
struct masks {
	int dir; /* the tmpfs over directories, -1 before the first */
};
int fs_mask(int root, const char *path, struct masks *m);

#endif
