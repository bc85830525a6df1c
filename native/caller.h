/* caller.h - between the verbs that carry out a plan and who called them: what is left behind, and the status line. */
#ifndef BERTH_CALLER_H
#define BERTH_CALLER_H

enum { STATUS_FD = 1, LOCK_FD = 3, CONTROL_FD = 4 };

/* Nothing of the caller's comes along but fds 0 to last, of which those above 2 are not passed on: no signal of its
 * terminal, no umask, no working directory. stderr may be missing. */
int caller_leave(int last);
/* Everything mounted from here on is seen by no one else; what the host unmounts goes away here too. *host is an fd of
 * the mount namespace that was left. */
int caller_leave_mounts(int *host);
/* Prints "error STEP ERRNO TEXT" and returns 1. */
int caller_told(void);

#endif
