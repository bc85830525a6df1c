/* fuzz_passwd.c - the guest's passwd and group files as arbitrary bytes. */
#include <stdlib.h>
#include <string.h>

#include "../passwd.h"
#include "fuzz.h"

static void check(const struct passwd_entry *e)
{
	if (e->uid == UINT32_MAX || e->gid == UINT32_MAX || e->name[0] == '\0' || e->home[0] != '/' || e->shell[0] != '/')
		abort();
	if (strnlen(e->name, sizeof e->name) == sizeof e->name || strnlen(e->home, sizeof e->home) == sizeof e->home ||
	    strnlen(e->shell, sizeof e->shell) == sizeof e->shell || strpbrk(e->name, ":\n") || strpbrk(e->home, ":\n"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct passwd_entry e;
	if (passwd_by_name(text, size, "alice", &e)) {
		check(&e);
		if (strcmp(e.name, "alice") != 0)
			abort();
	}
	if (passwd_by_uid(text, size, 0, &e)) {
		check(&e);
		if (e.uid != 0)
			abort();
	}
	uint32_t id, ids[3];
	int n = group_ids(text, size, "alice", ids, 3);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
			if (ids[i] == ids[j])
				abort();
	if (n > 3 || (passwd_id(text, size, &id) && (size > 10 || id == UINT32_MAX)))
		abort();
	free(text);
	return 0;
}

size_t fuzz_seed(size_t i, uint8_t *out)
{
	static const struct seed seeds[] = {
		SEED("root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\nalice:x:1000:1000:Alice,,,:/home/alice:/bin/sh\n"),
		SEED("+::::::\n\n:::\nalice:x:4294967295:1::/:\nalice::1:2:::\n# comment\nroot:x:0:0:::"),
		SEED("adm:x:4:syslog,alice\nsudo:x:27:alice,bob\nempty:x:5:\nalice:x:1000:\nx:x:9:bob,alice"),
		SEED("a:x:1:alice\nb:x:2:alice\nc:x:3:alice\nd:x:4:alice\n"),
		SEED("4294967294"),
	};
	return fuzz_seed_of(seeds, sizeof seeds / sizeof seeds[0], i, out);
}
