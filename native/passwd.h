/* passwd.h - who a command in the guest runs as. The guest's /etc/passwd and /etc/group are foreign bytes: they are read
 * as plain files of bounded size and parsed here, never through libc's name services (which would load the guest's code). */
#ifndef BERTH_PASSWD_H
#define BERTH_PASSWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PASSWD_MAX_FILE = 1 << 20,
	PASSWD_MAX_NAME = 256,
	PASSWD_MAX_PATH = 1024,
	PASSWD_MAX_GROUPS = 1024,
};

struct passwd_entry {
	uint32_t uid, gid;
	char name[PASSWD_MAX_NAME];
	char home[PASSWD_MAX_PATH];
	char shell[PASSWD_MAX_PATH];
};

/* The whole identity of a command: an entry and the supplementary groups. */
struct user {
	struct passwd_entry entry;
	uint32_t groups[PASSWD_MAX_GROUPS];
	size_t group_count;
};

/* Decimal id: digits only, below 4294967295 (which means "no change" to the kernel). */
bool passwd_id(const char *text, size_t len, uint32_t *out);

/* First good line for a name or uid. Lines that are malformed or hold an overlong field are passed over. */
bool passwd_by_name(const char *text, size_t len, const char *name, struct passwd_entry *out);
bool passwd_by_uid(const char *text, size_t len, uint32_t uid, struct passwd_entry *out);

/* Ids of the groups that list name as a member, without duplicates. Returns their number, or -1 when there are more than max. */
int group_ids(const char *text, size_t len, const char *name, uint32_t *ids, size_t max);

/* Resolves "NAME" or "UID[:GID]" (NULL: uid 0) from the files below the current directory, which must be the guest's
 * root. UID:GID gets no supplementary groups. Returns 0 or -1 after fail(). */
int user_resolve(const char *spec, struct user *out);

#endif
