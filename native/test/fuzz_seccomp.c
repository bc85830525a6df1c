/* fuzz_seccomp.c - seccomp_policy.c against arbitrary bytes: what is accepted keeps seccomp.h's word. */
#include <stdlib.h>
#include <string.h>

#include "../seccomp.h"
#include "fuzz.h"

/* As in seccomp.c, without its numbers, and quiet. */
const struct arch known_archs[ARCHS] = {{.name = "x86_64"}, {.name = "x32"}, {.name = "x86"}, {.name = "aarch64"}, {.name = "arm"}};

int complain(unsigned line, const char *fmt, ...)
{
	(void)line;
	return fmt[0] ? -1 : 0;
}

static void check(const struct policy *p)
{
	bool any = false;
	for (size_t i = 0; i < ARCHS; i++)
		any = any || p->arch[i];
	if (!any || !p->has_default || p->count > MAX_RULES)
		abort();
	for (size_t i = 0; i < p->count; i++) {
		const struct rule *r = &p->rules[i];
		if (strnlen(r->name, sizeof r->name) == sizeof r->name || r->conditions > MAX_CONDITIONS || r->action == p->default_action)
			abort();
		if (r->by_number && (r->conditions > 0 || r->number >= X32_BIT))
			abort();
		for (unsigned c = 0; c < r->conditions; c++)
			if (r->condition[c].arg > 5)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rule rules[MAX_RULES];
	struct policy p = {.rules = rules};
	FILE *in = size > 0 ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	if (!in)
		return 0;
	if (policy_read(&p, in) == 0)
		check(&p);
	fclose(in);
	return 0;
}

size_t fuzz_seed(size_t i, uint8_t *out)
{
	static const struct seed seeds[] = {
		SEED("default allow\narch x86_64\narch x32\narch x86\nerrno 1 syslog kexec_load\n"),
		SEED("default errno 38\nbadarch errno 38\narch aarch64\narch arm\nallow read write # two\nkill nr:469\n"),
		SEED("default kill\narch x86_64\nallow ioctl 1 masked_eq 0x5401 0xffffffff\nerrno 13 socket 0 eq 40 1 ne 2\n"),
	};
	return fuzz_seed_of(seeds, sizeof seeds / sizeof seeds[0], i, out);
}
