/* seccomp_policy.c - berth-seccomp: the policy's text, line by line, and whether it makes sense. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "seccomp.h"

enum {
	MAX_WORDS = 256,
	MAX_ERRNO = 4095,
	FIRST_SHARED_NUMBER = 424, /* pidfd_send_signal, Linux 5.1: the first number that every architecture has in common */
};

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

static int parse_policy(struct policy *p, FILE *in)
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

int policy_read(struct policy *p, FILE *in)
{
	return parse_policy(p, in) < 0 ? -1 : check_policy(p);
}
