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
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MAX_RULES = 4096,
	MAX_CONDITIONS = 6,
	MAX_WORDS = 256,
	MAX_ERRNO = 4095,
	FIRST_SHARED_NUMBER = 424, /* pidfd_send_signal, Linux 5.1: the first number that every architecture has in common */
	X32_BIT = 0x40000000,
};

struct arch {
	const char *name;
	uint32_t token; /* SCMP_ARCH_* */
	uint32_t audit; /* AUDIT_ARCH_* as a filter sees it */
	uint32_t bit;   /* in the call's number */
};

static const struct arch known_archs[] = {
	{"x86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, 0}, {"x32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64, X32_BIT},
	{"x86", SCMP_ARCH_X86, AUDIT_ARCH_I386, 0},         {"aarch64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, 0},
	{"arm", SCMP_ARCH_ARM, AUDIT_ARCH_ARM, 0},
};
enum { ARCHS = sizeof known_archs / sizeof known_archs[0] };

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

static int complain(unsigned line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int complain(unsigned line, const char *fmt, ...)
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

/* --- reading --- */

static bool number(const char *word, uint64_t max, uint64_t *out)
{
	if (!word || word[0] < '0' || word[0] > '9')
		return false;
	bool hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
	char *end;
	errno = 0;
	unsigned long long v = strtoull(word, &end, hex ? 16 : 10);
	if (errno != 0 || *end != '\0' || v > max)
		return false;
	*out = v;
	return true;
}

/* Takes an action off the words: its name, and the number that belongs to errno. Returns how many words, or -1. */
static int parse_action(const struct policy *p, char **words, bool allow, uint32_t *out)
{
	uint64_t err;
	if (words[0] && strcmp(words[0], "kill") == 0) {
		*out = SCMP_ACT_KILL_PROCESS;
		return 1;
	}
	if (allow && words[0] && strcmp(words[0], "allow") == 0) {
		*out = SCMP_ACT_ALLOW;
		return 1;
	}
	if (!words[0] || strcmp(words[0], "errno") != 0)
		return complain(p->line, "no such action: %s", words[0] ? words[0] : "(nothing)");
	if (!number(words[1], MAX_ERRNO, &err))
		return complain(p->line, "errno wants a number up to %d", MAX_ERRNO);
	*out = SCMP_ACT_ERRNO((uint32_t)err);
	return 2;
}

static int parse_condition(const struct policy *p, char **words, struct scmp_arg_cmp *out)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} known[] = {
		{"eq", SCMP_CMP_EQ}, {"ne", SCMP_CMP_NE}, {"lt", SCMP_CMP_LT},
		{"le", SCMP_CMP_LE}, {"gt", SCMP_CMP_GT}, {"ge", SCMP_CMP_GE},
		{"masked_eq", SCMP_CMP_MASKED_EQ},
	};
	uint64_t arg, value, mask;
	size_t k = 0, n = sizeof known / sizeof known[0];
	if (!number(words[0], 5, &arg))
		return complain(p->line, "an argument is 0 to 5, not %s", words[0]);
	while (words[1] && k < n && strcmp(known[k].name, words[1]) != 0)
		k++;
	if (!words[1] || k == n)
		return complain(p->line, "no such operator: %s", words[1] ? words[1] : "(nothing)");
	if (!number(words[2], UINT64_MAX, &value))
		return complain(p->line, "%s wants a number", words[1]);
	*out = (struct scmp_arg_cmp){.arg = (unsigned)arg, .op = known[k].op, .datum_a = value};
	if (known[k].op != SCMP_CMP_MASKED_EQ)
		return 3;
	if (!number(words[3], UINT64_MAX, &mask))
		return complain(p->line, "masked_eq wants VALUE MASK");
	if (value & ~mask)
		return complain(p->line, "a value with bits outside its mask never matches");
	out->datum_a = mask;
	out->datum_b = value;
	return 4;
}

static int parse_syscall(const struct policy *p, const char *word, struct rule *r)
{
	uint64_t nr;
	if (strlen(word) >= sizeof r->name)
		return complain(p->line, "a name too long for a system call");
	strcpy(r->name, word);
	if (strncmp(word, "nr:", 3) == 0) {
		if (!number(word + 3, X32_BIT - 1, &nr) || nr < FIRST_SHARED_NUMBER)
			return complain(p->line, "%s: a number from %d on is wanted, where all architectures agree", word,
					FIRST_SHARED_NUMBER);
		r->by_number = true;
		r->number = (uint32_t)nr;
		return 0;
	}
	for (const char *c = word; *c; c++)
		if (!(*c == '_' || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9')))
			return complain(p->line, "not a system call: %s", word);
	return 0;
}

static struct rule *add_rule(struct policy *p, uint32_t action, const char *word)
{
	if (p->count == MAX_RULES) {
		complain(p->line, "more than %d rules", MAX_RULES);
		return NULL;
	}
	struct rule *r = &p->rules[p->count];
	*r = (struct rule){.action = action, .line = p->line};
	if (parse_syscall(p, word, r) < 0)
		return NULL;
	p->count++;
	return r;
}

static int parse_rule(struct policy *p, char **words)
{
	uint32_t action;
	int n = parse_action(p, words, true, &action);
	if (n < 0)
		return -1;
	char **first = words + n, **at = first;
	struct rule *r = NULL;
	for (; *at && !(*at[0] >= '0' && *at[0] <= '9'); at++)
		if (!(r = add_rule(p, action, *at)))
			return -1;
	if (!r)
		return complain(p->line, "no system call");
	if (*at && (at != first + 1 || r->by_number))
		return complain(p->line, "conditions go with exactly one system call, by its name");
	while (*at) {
		if (r->conditions == MAX_CONDITIONS)
			return complain(p->line, "more than %d conditions", MAX_CONDITIONS);
		n = parse_condition(p, at, &r->condition[r->conditions++]);
		if (n < 0)
			return -1;
		at += n;
	}
	return 0;
}

static int parse_fallback(struct policy *p, char **words, bool allow, bool *has, uint32_t *action)
{
	if (*has)
		return complain(p->line, "%s twice", words[0]);
	int n = parse_action(p, words + 1, allow, action);
	if (n < 0)
		return -1;
	if (words[1 + n])
		return complain(p->line, "too many words");
	*has = true;
	return 0;
}

static int parse_arch(struct policy *p, char **words)
{
	for (size_t i = 0; words[1] && !words[2] && i < ARCHS; i++) {
		if (strcmp(known_archs[i].name, words[1]) != 0)
			continue;
		if (p->arch[i])
			return complain(p->line, "arch %s twice", words[1]);
		p->arch[i] = true;
		return 0;
	}
	return complain(p->line, "arch wants one of x86_64 x32 x86 aarch64 arm");
}

static int parse_line(struct policy *p, char *line)
{
	char *words[MAX_WORDS + 4] = {0}; /* NULLs behind the last word: looking ahead stays inside */
	size_t n = 0;
	line[strcspn(line, "#\n")] = '\0';
	for (char *save = NULL, *w = strtok_r(line, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		if (n == MAX_WORDS)
			return complain(p->line, "more than %d words", MAX_WORDS);
		words[n++] = w;
	}
	if (n == 0)
		return 0;
	if (strcmp(words[0], "default") == 0)
		return parse_fallback(p, words, true, &p->has_default, &p->default_action);
	if (strcmp(words[0], "badarch") == 0)
		return parse_fallback(p, words, false, &p->has_bad_arch, &p->bad_arch);
	if (strcmp(words[0], "arch") == 0)
		return parse_arch(p, words);
	return parse_rule(p, words);
}

static int read_policy(struct policy *p, FILE *in)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int result = 0;
	while (result == 0 && (len = getline(&line, &room, in)) >= 0) {
		p->line++;
		result = memchr(line, '\0', (size_t)len) ? complain(p->line, "a NUL byte") : parse_line(p, line);
	}
	free(line);
	if (result == 0 && ferror(in))
		return complain(0, "stdin cannot be read");
	return result;
}

static int check_policy(struct policy *p)
{
	bool any = false;
	for (size_t i = 0; i < ARCHS; i++)
		any = any || p->arch[i];
	if (!p->has_default)
		return complain(0, "no default");
	if (!any)
		return complain(0, "no arch");
	if (!p->has_bad_arch)
		p->bad_arch = SCMP_ACT_KILL_PROCESS;
	for (size_t i = 0; i < p->count; i++) {
		const struct rule *r = &p->rules[i];
		if (r->action == p->default_action)
			return complain(r->line, "%s: the default does this already", r->name);
		/* libseccomp would let the first of them win in silence. */
		for (size_t j = 0; j < i && r->conditions == 0; j++)
			if (p->rules[j].conditions == 0 && p->rules[j].action != r->action && strcmp(p->rules[j].name, r->name) == 0)
				return complain(r->line, "%s: line %u says otherwise", r->name, p->rules[j].line);
	}
	return 0;
}

/* --- compiling --- */

static int set_attributes(scmp_filter_ctx ctx, const struct policy *p)
{
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, p->bad_arch);
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (rc == 0) /* a binary tree over the numbers: the filter runs on every call */
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return rc == 0 ? 0 : complain(0, "libseccomp refuses an attribute: %s", strerror(-rc));
}

/* 32-bit x86 has socketcall(2) and ipc(2), whose arguments lie in memory where a filter cannot see them. libseccomp would
 * leave the conditions out and take the rule for all; no rule is better. The numbers are libseccomp's (seccomp-syscalls.h). */
static bool is_multiplexed(const char *name)
{
	int nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86, name);
	return (nr <= -100 && nr >= -120) || (nr <= -200 && nr >= -224);
}

static int add_named(scmp_filter_ctx ctx, const struct rule *r, const struct arch *arch)
{
	int nr = seccomp_syscall_resolve_name(r->name);
	if (nr == __NR_SCMP_ERROR)
		return 0; /* told about by report_unknown */
	if (r->conditions > 0 && arch->token == SCMP_ARCH_X86 && is_multiplexed(r->name))
		return 0;
	int rc = seccomp_rule_add_array(ctx, r->action, nr, r->conditions, r->condition);
	if (rc == -EDOM || rc == -EOPNOTSUPP || rc == 0)
		return 0; /* not a call of this architecture */
	if (rc == -EEXIST)
		return complain(r->line, "%s: another rule says otherwise", r->name);
	if (rc == -EINVAL && r->conditions > 0)
		return complain(r->line, "%s: these conditions cannot be put together (on %s)", r->name, arch->name);
	return complain(r->line, "%s: libseccomp refuses the rule on %s: %s", r->name, arch->name, strerror(-rc));
}

/* A context per architecture: in one for several, a call that one of them lacks could not be added at all. */
static scmp_filter_ctx compile_arch(const struct policy *p, const struct arch *arch)
{
	scmp_filter_ctx ctx = seccomp_init(p->default_action);
	if (!ctx) {
		complain(0, "libseccomp gives no context");
		return NULL;
	}
	int rc = arch->token == seccomp_arch_native() ? 0 : seccomp_arch_add(ctx, arch->token);
	if (rc == 0 && arch->token != seccomp_arch_native())
		rc = seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE);
	if (rc < 0) {
		complain(0, "libseccomp does not take arch %s: %s", arch->name, strerror(-rc));
		goto bad;
	}
	if (set_attributes(ctx, p) < 0)
		goto bad;
	for (size_t i = 0; i < p->count; i++)
		if (!p->rules[i].by_number && add_named(ctx, &p->rules[i], arch) < 0)
			goto bad;
	return ctx;
bad:
	seccomp_release(ctx);
	return NULL;
}

static scmp_filter_ctx compile(const struct policy *p)
{
	scmp_filter_ctx all = NULL;
	for (size_t i = 0; i < ARCHS; i++) {
		if (!p->arch[i])
			continue;
		scmp_filter_ctx one = compile_arch(p, &known_archs[i]);
		if (!one)
			goto bad;
		if (!all) {
			all = one;
			continue;
		}
		int rc = seccomp_merge(all, one);
		if (rc < 0) {
			seccomp_release(one);
			complain(0, "libseccomp does not merge arch %s: %s", known_archs[i].name, strerror(-rc));
			goto bad;
		}
	}
	return all;
bad:
	if (all)
		seccomp_release(all);
	return NULL;
}

static void report_unknown(const struct policy *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (!p->rules[i].by_number && seccomp_syscall_resolve_name(p->rules[i].name) == __NR_SCMP_ERROR)
			fprintf(stderr, "unknown %s\n", p->rules[i].name);
}

static uint32_t kernel_action(uint32_t action)
{
	if (action == SCMP_ACT_ALLOW)
		return SECCOMP_RET_ALLOW;
	if (action == SCMP_ACT_KILL_PROCESS)
		return SECCOMP_RET_KILL_PROCESS;
	return SECCOMP_RET_ERRNO | (action & SECCOMP_RET_DATA);
}

/* Instructions that go before libseccomp's, whose jumps are all relative: for each architecture the rules by number.
 * libseccomp takes no number without a name except on the native architecture. Returns how many, at most max, or -1. */
static int number_rules(const struct policy *p, struct sock_filter *out, size_t max)
{
	size_t rules = 0, n = 0;
	for (size_t i = 0; i < p->count; i++)
		rules += p->rules[i].by_number;
	if (rules == 0)
		return 0;
	for (size_t a = 0; a < ARCHS; a++) {
		if (!p->arch[a])
			continue;
		if (n + 4 + 2 * rules > max)
			return complain(0, "too many rules by number");
		/* Jump offsets are 8 bits wide for conditions, 32 for "always". */
		out[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
		out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, known_archs[a].audit, 1, 0);
		out[n++] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(1 + 2 * rules));
		out[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
		for (size_t i = 0; i < p->count; i++) {
			const struct rule *r = &p->rules[i];
			if (!r->by_number)
				continue;
			out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->number | known_archs[a].bit, 0, 1);
			out[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, kernel_action(r->action));
		}
	}
	return (int)n;
}

static int write_filter(const struct sock_filter *filter, size_t count)
{
	const char *at = (const char *)filter;
	for (size_t left = count * sizeof *filter; left > 0;) {
		ssize_t n = write(1, at, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return complain(0, "stdout: %s", strerror(errno));
		at += n;
		left -= (size_t)n;
	}
	return 0;
}

/* What libseccomp exports (only to a descriptor) read back behind the rules by number. */
static int emit(const struct policy *p, scmp_filter_ctx ctx)
{
	static struct sock_filter filter[BPF_MAXINSNS];
	int head = number_rules(p, filter, BPF_MAXINSNS);
	if (head < 0)
		return -1;
	int fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0)
		return complain(0, "memfd: %s", strerror(errno));
	int rc = seccomp_export_bpf(ctx, fd);
	struct stat st;
	if (rc < 0 || fstat(fd, &st) < 0) {
		close(fd);
		return complain(0, "libseccomp exports nothing: %s", strerror(rc < 0 ? -rc : errno));
	}
	size_t tail = (size_t)st.st_size / sizeof *filter;
	if (tail == 0 || tail > BPF_MAXINSNS - (size_t)head) {
		close(fd);
		return complain(0, "%zu instructions; the kernel takes %d", tail + (size_t)head, BPF_MAXINSNS);
	}
	ssize_t got = pread(fd, filter + head, tail * sizeof *filter, 0);
	close(fd);
	if (got != st.st_size)
		return complain(0, "the filter cannot be read back");
	return write_filter(filter, (size_t)head + tail);
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
	if (read_policy(&p, stdin) == 0 && check_policy(&p) == 0) {
		report_unknown(&p);
		ctx = compile(&p);
		result = ctx ? emit(&p, ctx) : -1;
	}
	if (ctx)
		seccomp_release(ctx);
	free(p.rules);
	return result < 0;
}
