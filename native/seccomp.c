/* seccomp.c - berth-seccomp: compiles a filter with libseccomp. A policy comes in on stdin, struct sock_filter[] goes out on
 * stdout. One directive a line, words apart by blanks, '#' begins a comment:
 *
 *   default allow|errno NUMBER|kill     what happens to calls without a rule (required)
 *   badarch errno NUMBER|kill           what happens to calls of an architecture that is not listed (kill unless given)
 *   arch NAME                           x86_64 x32 x86 aarch64 arm (at least one)
 *   allow SYSCALL... | kill SYSCALL... | errno NUMBER SYSCALL...
 *   allow|kill SYSCALL CONDITION... | errno NUMBER SYSCALL CONDITION...
 *
 * CONDITION is ARGUMENT OPERATOR VALUE, with ARGUMENT 0 to 5 and OPERATOR one of eq ne lt le gt ge, or ARGUMENT masked_eq
 * VALUE MASK; all of a line must hold. Numbers are decimal or 0x.
 *
 * A name that libseccomp does not know is passed over and named on stderr ("unknown NAME"). A call newer than libseccomp
 * goes by number, nr:469: from 424 on all architectures share the numbers. Those get no conditions.
 *
 * With --names it tells names instead: for each line "ARCH NUMBER" the call's name, or "-".
 *
 * x32 calls come in as x86_64 with bit 30 set: without `arch x32` they are of a bad architecture.
 */
#include "seccomp.h"

#include <limits.h>
#include <linux/audit.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct arch known_archs[ARCHS] = {
	{"x86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, 0}, {"x32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64, X32_BIT},
	{"x86", SCMP_ARCH_X86, AUDIT_ARCH_I386, 0},         {"aarch64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, 0},
	{"arm", SCMP_ARCH_ARM, AUDIT_ARCH_ARM, 0},
};

int complain(unsigned line, const char *fmt, ...)
{
	va_list ap;
	if (line > 0)
		fprintf(stderr, "berth-seccomp: line %u: ", line);
	else
		fputs("berth-seccomp: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

/* The name of the call in a line "ARCH NUMBER", or "-". */
static char *name_of(const char *line)
{
	char arch[16];
	unsigned nr;
	if (sscanf(line, "%15s %u", arch, &nr) != 2 || nr > INT_MAX)
		return NULL;
	for (size_t i = 0; i < ARCHS; i++) {
		if (strcmp(known_archs[i].name, arch) != 0)
			continue;
		/* x32 calls are told as x86_64's with the bit set. */
		uint32_t token = known_archs[i].token == SCMP_ARCH_X86_64 && (nr & X32_BIT) ? SCMP_ARCH_X32 : known_archs[i].token;
		return seccomp_syscall_resolve_num_arch(token, (int)nr);
	}
	return NULL;
}

static int print_names(FILE *in)
{
	char *line = NULL;
	size_t room = 0;
	while (getline(&line, &room, in) >= 0) {
		char *name = name_of(line);
		puts(name ? name : "-");
		free(name);
	}
	free(line);
	return ferror(in) || fflush(stdout) != 0 ? complain(0, "names cannot be written") : 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--names") == 0)
		return print_names(stdin) < 0;
	if (argc != 1) {
		fputs("usage: berth-seccomp < POLICY > FILTER\n       berth-seccomp --names < CALLS > NAMES\n", stderr);
		return 2;
	}
	struct policy p = {.rules = calloc(MAX_RULES, sizeof(struct rule))};
	if (!p.rules)
		return complain(0, "out of memory") < 0;
	scmp_filter_ctx ctx = NULL;
	int result = -1;
	if (policy_read(&p, stdin) == 0) {
		ctx = policy_compile(&p);
		result = ctx ? filter_write(&p, ctx) : -1;
	}
	if (ctx)
		seccomp_release(ctx);
	free(p.rules);
	return result < 0;
}
