/* cgroup.h - where the guest and its keeper run, the device rules, and removal at the end. */
#ifndef BERTH_CGROUP_H
#define BERTH_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

/* Joins the v1 directories of CGROUP_JOIN (0 to tasks: this process has one thread). *v2 is an fd of the v2 directory
 * for CLONE_INTO_CGROUP, or -1. */
int cgroup_join(const struct plan *p, int *v2);
/* *dir: an fd of the v2 directory of CGROUP_KEEPER, in which the keeper is born, or -1. */
int cgroup_keeper_v2(const struct plan *p, int *dir);
/* Moves this process to the v1 directories of CGROUP_KEEPER. */
int cgroup_leave(const struct plan *p);
/* Loads DEVICE_BPF and attaches it. */
int cgroup_devices(const struct plan *p);
/* Removes a directory tree of cgroups; waits 2 s for processes on their way out. Absent is fine. */
int cgroup_remove(const char *path);
/* The number after "oom_kill" in a file; for v1, where each cgroup counts for itself, of the whole tree. */
uint64_t cgroup_oom_kills(const char *file, bool v1);

#endif
