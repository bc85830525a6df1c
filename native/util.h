/* util.h - errors, cleanup, small helpers. One convention: a function that can fail returns -1 (or false) after
 * recording what failed with fail(); the caller passes it up, the verb prints it. */
#ifndef BERTH_UTIL_H
#define BERTH_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What failed: step is a word ("root-overlay"), err an errno or 0, text says on what. */
struct failure {
	const char *step;
	int err;
	char text[512];
};
extern struct failure failure;

/* Records a failure (errno is taken as it is when called; pass err explicitly with fail_with). Always returns -1. */
int fail(const char *step, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int fail_with(int err, const char *step, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "what: " before the text of the failure just recorded. Always returns -1. */
int fail_about(const char *what);

/* Scope-bound cleanup. errno survives. */
void close_fd(int *fd);
void free_ptr(void *p);
#define cleanup_fd __attribute__((cleanup(close_fd)))
#define cleanup_free __attribute__((cleanup(free_ptr)))
static inline int take_fd(int *fd)
{
	int v = *fd;
	*fd = -1;
	return v;
}

/* All of it or -1 (EINTR retried). */
int write_all(int fd, const void *buf, size_t len);
/* Opens, writes once, closes. dirfd AT_FDCWD allowed. -1 with errno. */
int write_file_at(int dirfd, const char *path, const char *text);
/* Reads at most size-1 bytes and NUL-terminates; returns the length or -1 with errno. */
ssize_t read_file_at(int dirfd, const char *path, char *buf, size_t size);
/* Atomic: write to a temporary name beside it, rename. Not synced. -1 with errno. */
int replace_file_at(int dirfd, const char *path, const char *text, mode_t mode);

/* openat2 below root with RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS, O_CLOEXEC added. -1 with errno. */
int open_in_root(int root, const char *path, int flags, mode_t mode);

/* Field 22 of /proc/PID/stat, or 0 with errno. The command name may hold any byte. */
uint64_t process_starttime(pid_t pid);

/* One fd over a unix socket. */
int send_fd(int sock, int fd);
int recv_fd(int sock);

#endif
