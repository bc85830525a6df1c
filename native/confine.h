/* confine.h - what is applied to a process last, before it execs the guest's program. Shared by start and attach.
 * Reads its records (CAPS NO_NEW_PRIVS SECCOMP SECCOMP_LOG APPARMOR SELINUX) from a plan. Each returns 0 or -1 after fail(). */
#ifndef BERTH_CONFINE_H
#define BERTH_CONFINE_H

#include <sys/types.h>

#include "plan.h"

/* Signals to their defaults, none blocked; umask 022; a session of its own is the caller's business. */
int confine_reset(void);
/* Marks every fd from lowest on close-on-exec. */
int confine_fds(int lowest);
/* Asks for the label of an APPARMOR or SELINUX record at the next exec. */
int confine_label(const struct plan_record *r);
/* Before the uid changes or in the new user namespace: no_new_privs, label for exec, bounding set (and the
 * inheritable and ambient sets emptied), then seccomp as the very last thing. In that order. */
int confine_apply(const struct plan *p);
/* rlimits and oom_score_adj of another process, done by the host. */
int confine_limits(const struct plan *p, pid_t pid);

#endif
