/* audit.h - berth-audit: the attacker. Tries, from where it is run, what would hurt the host or a neighbour, and says of each
 * attempt how it ended. Every attempt takes the harmless form of the attack: a switch is opened for writing and never
 * written to, a system call is given arguments that are refused right behind the check of permission, and what is used up
 * is bounded and given back. Nothing here may hurt the machine even where every layer is missing.
 */
#ifndef BERTH_AUDIT_H
#define BERTH_AUDIT_H

#include <stdbool.h>
#include <stddef.h>

struct result {
	bool through;
	int err;
	char detail[96]; /* our own words only */
};

struct attempt {
	const char *id;
	const char *what;    /* the attempt in words */
	const char *cve;     /* "" without one */
	const char *control; /* where it does work, and how that looks */
	struct result (*run)(const struct attempt *a);
	const char *path; /* for those that differ in a path, a type, a word */
	long number;      /* ... or a number */
	bool sandbox;     /* only in a guest of the audit's own: it would disturb others in the guest */
};

/* How it ended. failed() takes errno. */
struct result through(const char *detail);
struct result failed(void);
struct result blocked(int err, const char *detail);
/* A system call that gets this errno has passed the check of permission: its arguments are bad on purpose. */
struct result passed_with(long returned, int err);

/* A KEY=VALUE word of the command line, NULL when it was not given. What the canary printed, and where things lie. */
const char *fact(const char *key);
long fact_number(const char *key); /* 0 when it was not given */
unsigned long fact_address(const char *key);

/* A directory of this attempt's own, a tmpfs without restrictions where that can be mounted; NULL when there is none. */
const char *scratch(void);
/* A new mount namespace nothing of which reaches anybody else; covers below /proc and /sys taken off, both mounted anew. */
bool prepare(char *words, size_t size);
/* Again, for one attempt that mounts or unmounts; false where that is not permitted, and then it must do neither. */
bool own_mounts(void);

/* Does the file hold the canary's secret? */
bool holds_secret(int dirfd, const char *path);
/* The same, from the highest directory that `..` leads to. */
bool climbs_to_secret(int dirfd);

/* What this process was born with, looked at before anything else. */
struct birth {
	int leaked; /* first open fd above 2, or -1 */
	unsigned long long inheritable;
	int cwd;    /* O_PATH */
	int mounts; /* the table of mounts as it was then */
};
extern struct birth birth;

extern const struct attempt kernel_attempts[], call_attempts[], machine_attempts[], filter_attempts[], device_attempts[],
	mount_attempts[], process_attempts[], escape_attempts[], cgroup_attempts[], net_attempts[], disk_attempts[];

/* A detached mount of a file system, made or found; -1 with errno. */
int host_mount(const char *type);

int canary_main(int argc, char **argv);
int sloppy_main(int argc, char **argv);

#endif
