/* seccomp_emit.c - berth-seccomp: rules by number, and the whole filter out to the kernel's form. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "seccomp.h"

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
int filter_write(const struct policy *p, scmp_filter_ctx ctx)
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
