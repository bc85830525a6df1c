/* seccomp_compile.c - berth-seccomp: from rules by name to libseccomp's filter. */
#include <errno.h>
#include <string.h>

#include "seccomp.h"

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

static void report_unknown(const struct policy *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (!p->rules[i].by_number && seccomp_syscall_resolve_name(p->rules[i].name) == __NR_SCMP_ERROR)
			fprintf(stderr, "unknown %s\n", p->rules[i].name);
}

scmp_filter_ctx policy_compile(const struct policy *p)
{
	report_unknown(p);
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
