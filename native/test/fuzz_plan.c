/* fuzz_plan.c - plan.c against arbitrary bytes: nothing outside the buffer is read, and what is accepted keeps plan.h's word. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "planbuild.h"

static void check(const struct plan *p)
{
	if (p->count > PLAN_MAX_RECORDS)
		abort();
	for (uint32_t i = 0; i < p->count; i++) {
		const struct plan_record *r = &p->records[i];
		const struct plan_record *first = plan_find(p, r->op);
		if (!first || first > r || first->op != r->op || r->argc > PLAN_MAX_ARGS)
			abort();
		for (int a = 0; a < r->argc; a++) {
			uint64_t number;
			uint32_t octal;
			const struct plan_arg *arg = &r->args[a];
			bool binary = (r->op == OP_DEVICE_BPF && a == 1) || (r->op == OP_FILE && a == 3) || r->op == OP_SECCOMP || r->op == OP_SECCOMP_LOG ||
				      r->op == OP_LAUNCH || (r->op == OP_WRITE && a == 1) || (r->op == OP_PUT && a == 2);
			if (arg->data[arg->len] != '\0' || (!binary && strlen(arg->data) != arg->len))
				abort();
			if (plan_u64(arg, 1000, &number) && number > 1000)
				abort();
			if (plan_octal(arg, 0777, &octal) && octal > 0777)
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *buf = fuzz_copy(data, size);
	/* Half of the inputs get a size that is right, else most would end at the header. */
	if (size >= 24 && size % 2 == 0) {
		uint32_t right = (uint32_t)size;
		memcpy(buf + 12, &right, sizeof right);
	}
	struct plan p;
	const char *why = NULL;
	if (plan_parse(buf, size, &p, &why) == 0) {
		check(&p);
		plan_free(&p);
	} else if (!why || p.records || p.buf) {
		abort();
	}
	return 0;
}

size_t fuzz_seed(size_t i, uint8_t *out)
{
	struct planbuild b = plan_begin(out);
	const char *idmap[] = {"u", "0", "1000000", "65536"};
	const char *init[] = {"/sbin/init", "--log-level", "info"};
	const char *node[] = {"dev/null", "c", "1", "3", "666", "0", "0"};
	const char *file[] = {"etc/hostname", "644", "always", "a\0b"};
	const uint32_t file_lens[] = {12, 3, 6, 3};
	const char *rlimit[] = {"7", "1024", "max"};
	const char *like[] = {"/sys/fs/cgroup", "/berth.slice/c1"};
	const char *filter[] = {"\x06\0\0\0\0\0\xff\x7f"};
	const uint32_t filter_lens[] = {8};
	switch (i) {
	case 0:
		break;
	case 1:
		plan_add(&b, OP_NAME, 1, (const char *[]){"c1"}, NULL);
		plan_add(&b, OP_NAMESPACES, 3, (const char *[]){"user", "pid", "mnt"}, NULL);
		plan_add(&b, OP_IDMAP, 4, idmap, NULL);
		plan_add(&b, OP_INIT, 3, init, NULL);
		plan_add(&b, OP_ENV, 2, (const char *[]){"container=berth", "PATH=/bin"}, NULL);
		break;
	case 2:
		plan_add(&b, OP_NODE, 7, node, NULL);
		plan_add(&b, OP_FILE, 4, file, file_lens);
		plan_add(&b, OP_RLIMIT, 3, rlimit, NULL);
		plan_add(&b, OP_ROOT_SHARED, 0, NULL, NULL);
		break;
	case 3:
		plan_add(&b, OP_SECCOMP, 1, filter, filter_lens);
		plan_add(&b, OP_CGROUP_LIKE_INIT, 2, like, NULL);
		plan_add(&b, OP_CAPS, 4, (const char *[]){"0", "1", "21", "40"}, NULL);
		break;
	case 4:
		plan_add(&b, OP_PREPARED, 3, (const char *[]){"c1", "/usr/bin/berth", "/usr/libexec/berth/berth-launch"}, NULL);
		plan_add(&b, OP_SAME_FILE, 2, (const char *[]){"/etc/berth/berth.yaml", "-"}, NULL);
		plan_add(&b, OP_STATE, 2, (const char *[]){"{}", "{\"shouldRun\":true}"}, NULL);
		plan_add(&b, OP_LAUNCH, 1, filter, filter_lens);
		plan_add(&b, OP_MAKE_DIR, 3, (const char *[]){"/run/berth/c1", "700", "any"}, NULL);
		plan_add(&b, OP_WRITE, 3, (const char *[]){"/sys/fs/cgroup/c1/pids.max", "max", "may"}, NULL);
		break;
	default:
		return 0;
	}
	return plan_finish(&b);
}
