/* selfcopy.h - protects our program file from a guest without a user namespace. */
#ifndef BERTH_SELFCOPY_H
#define BERTH_SELFCOPY_H

/* Root in a guest without a user namespace could write to our program by /proc/PID/exe (CVE-2019-5736), also by making the
 * link the program to be run. So there a verb runs again from a sealed copy in memory. argv[0] is the verb; fds that are
 * close-on-exec get lost, but the two of keep (-1 for none) are made to stay. Returns 0 when this is the copy. */
int self_copy(const int keep[2], int argc, char **argv);

/* A copy in memory of an open program, which nobody can change. An fd, close-on-exec, or -1 after fail(). */
int sealed_copy(int from, const char *name);

#endif
