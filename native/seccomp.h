/* seccomp.h - what the parts of berth-seccomp share. */
#ifndef BERTH_SECCOMP_H
#define BERTH_SECCOMP_H

#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	MAX_RULES = 4096,
	MAX_CONDITIONS = 6,
	X32_BIT = 0x40000000,
	ARCHS = 5,
};

struct arch {
	const char *name;
	uint32_t token; /* SCMP_ARCH_* */
	uint32_t audit; /* AUDIT_ARCH_* as a filter sees it */
	uint32_t bit;   /* in the call's number */
};

extern const struct arch known_archs[ARCHS];

struct rule {
	uint32_t action;
	unsigned line;
	char name[64];
	bool by_number;
	uint32_t number;
	unsigned conditions;
	struct scmp_arg_cmp condition[MAX_CONDITIONS];
};

struct policy {
	bool has_default, has_bad_arch;
	uint32_t default_action, bad_arch;
	bool arch[ARCHS];
	struct rule *rules;
	size_t count;
	unsigned line; /* being read */
};

/* Says what is wrong, and in which line of the policy (0: in none). Always -1. */
int complain(unsigned line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* seccomp_policy.c: reads and checks a policy. 0 or -1. */
int policy_read(struct policy *p, FILE *in);

/* seccomp_compile.c: names libseccomp's unknown calls on stderr and gives the filter for all architectures; NULL on failure. */
scmp_filter_ctx policy_compile(const struct policy *p);

/* seccomp_emit.c: writes the whole filter to fd 1. 0 or -1. */
int filter_write(const struct policy *p, scmp_filter_ctx ctx);

#endif
