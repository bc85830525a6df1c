/* plan.c - reads a launch plan. Foreign bytes: nothing is used before its length is checked. Fuzzed by test/fuzz_plan.c. */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char magic[8] = {'B', 'E', 'R', 'T', 'H', 'P', 'L', 'N'};

enum { HEADER = 24, RECORD = 8, ARG = 4 };

/* What the arguments of an op look like: least and most, and which one may hold NUL bytes (-1: none). */
struct op_shape {
	uint16_t op;
	uint16_t min, max;
	int16_t binary;
};

static const struct op_shape shapes[] = {
	{OP_NAME, 1, 1, -1},
	{OP_NAMESPACES, 1, 8, -1},
	{OP_IDMAP, 4, 4, -1},
	{OP_INIT, 1, PLAN_MAX_ARGS, -1},
	{OP_ENV, 0, PLAN_MAX_ARGS, -1},
	{OP_HOSTNAME, 1, 1, -1},
	{OP_RUNDIR, 1, 1, -1},
	{OP_CONSOLE, 6, 6, -1},
	{OP_REBOOT, 1, PLAN_MAX_ARGS, -1},
	{OP_EVENTS, 1, 1, -1},
	{OP_TRACE, 0, 0, -1},
	{OP_CGROUP_JOIN, 2, 2, -1},
	{OP_CGROUP_KEEPER, 2, 2, -1},
	{OP_CGROUP_REMOVE, 1, 1, -1},
	{OP_OOM_EVENTS, 2, 2, -1},
	{OP_END_WRITE, 2, 2, -1},
	{OP_DEVICE_BPF, 2, 2, 1},
	{OP_SCRATCH, 1, 1, -1},
	{OP_LOOP, 5, 5, -1},
	{OP_BIND, 2, 5, -1},
	{OP_OWNED_DIR, 4, 4, -1},
	{OP_ROOT_OVERLAY, 1, 64, -1},
	{OP_ROOT_BIND, 1, 3, -1},
	{OP_NODE, 7, 7, -1},
	{OP_DIR, 4, 4, -1},
	{OP_SYMLINK, 4, 4, -1},
	{OP_MOUNT, 3, 64, -1},
	{OP_BIND_SELF, 1, 1, -1},
	{OP_BIND_HOST, 3, 3, -1},
	{OP_BIND_CONSOLE, 1, 1, -1},
	{OP_MASK, 1, 1, -1},
	{OP_READONLY, 1, 1, -1},
	{OP_FILE, 4, 4, 3},
	{OP_SYSCTL, 3, 3, -1},
	{OP_ROOT_SHARED, 0, 0, -1},
	{OP_RLIMIT, 3, 3, -1},
	{OP_OOM_SCORE, 1, 1, -1},
	{OP_CAPS, 0, 64, -1},
	{OP_NO_NEW_PRIVS, 0, 0, -1},
	{OP_SECCOMP, 1, 1, 0},
	{OP_APPARMOR, 1, 1, -1},
	{OP_SELINUX, 1, 1, -1},
	{OP_SECCOMP_LOG, 1, 1, 0},
	{OP_VETH, 7, 7, -1},
	{OP_ADDRESS, 2, 2, -1},
	{OP_ROUTE, 3, 3, -1},
	{OP_LINK_UP, 1, 1, -1},
	{OP_CGROUP_LIKE_INIT, 2, 2, -1},
	{OP_CRIU, 1, PLAN_MAX_ARGS, -1},
	{OP_CRIU_REQUEST, 1, 1, 0},
	{OP_CRIU_CGROUP, 1, 1, -1},
	{OP_CGROUP_WRITE, 2, 2, -1},
	{OP_PREPARED, 3, 3, -1},
	{OP_SAME_FILE, 2, 2, -1},
	{OP_SAME_TEXT, 2, 2, -1},
	{OP_NOT_MOUNTED, 1, 1, -1},
	{OP_NFT_TABLE, 1, 1, -1},
	{OP_STATE, 2, 2, -1},
	{OP_LAUNCH, 1, 1, 0},
	{OP_MAKE_DIR, 3, 3, -1},
	{OP_WRITE, 3, 3, 1},
	{OP_CHOWN, 3, 3, -1},
	{OP_PUT, 3, 3, 2},
	{OP_CARD, 2, 2, -1},
	{OP_FACTS, 1, 1, -1},
	{OP_CELLS, 7, 7, -1},
	{OP_LIVE, 3, 3, -1},
	{OP_FIELD, 3, 15, -1},
};

static const struct op_shape *shape_of(uint16_t op)
{
	for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
		if (shapes[i].op == op)
			return &shapes[i];
	return NULL;
}

static uint16_t get16(const char *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static uint32_t get32(const char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

/* Reads one record at *at into *r, its arguments into pool. Returns the number of arguments or -1. */
static int parse_record(const char *buf, size_t size, size_t *at, struct plan_record *r, struct plan_arg *pool,
			const char **why)
{
	if (size - *at < RECORD) {
		*why = "record header cut short";
		return -1;
	}
	r->op = get16(buf + *at);
	r->argc = get16(buf + *at + 2);
	uint32_t body = get32(buf + *at + 4);
	*at += RECORD;
	if (body > size - *at) {
		*why = "record longer than the plan";
		return -1;
	}
	const struct op_shape *shape = shape_of(r->op);
	if (!shape) {
		*why = "unknown op";
		return -1;
	}
	if (r->argc < shape->min || r->argc > shape->max) {
		*why = "wrong number of arguments";
		return -1;
	}
	size_t end = *at + body;
	for (uint16_t i = 0; i < r->argc; i++) {
		if (end - *at < ARG) {
			*why = "argument header cut short";
			return -1;
		}
		uint32_t len = get32(buf + *at);
		*at += ARG;
		if (end - *at < 1 || len > end - *at - 1) {
			*why = "argument longer than its record";
			return -1;
		}
		if (buf[*at + len] != '\0') {
			*why = "argument not terminated";
			return -1;
		}
		if (i != shape->binary && memchr(buf + *at, '\0', len)) {
			*why = "NUL byte in a text argument";
			return -1;
		}
		pool[i] = (struct plan_arg){buf + *at, len};
		*at += (size_t)len + 1;
	}
	if (*at != end) {
		*why = "bytes left over in a record";
		return -1;
	}
	r->args = pool;
	return r->argc;
}

int plan_parse(char *buf, size_t size, struct plan *out, const char **why)
{
	*out = (struct plan){.buf = buf};
	if (size < HEADER || memcmp(buf, magic, sizeof magic) != 0) {
		*why = "not a launch plan";
		goto bad;
	}
	if (get32(buf + 8) != PLAN_VERSION) {
		*why = "plan of another version";
		goto bad;
	}
	if (get32(buf + 12) != size || get32(buf + 20) != 0) {
		*why = "wrong size in the header";
		goto bad;
	}
	uint32_t count = get32(buf + 16);
	if (count > PLAN_MAX_RECORDS || count > (size - HEADER) / RECORD) {
		*why = "too many records";
		goto bad;
	}
	/* An argument takes at least five bytes, so this bounds the pool. */
	size_t most = (size - HEADER) / (ARG + 1) + 1;
	out->records = calloc((size_t)count + 1, sizeof *out->records);
	out->pool = calloc(most, sizeof *out->pool);
	if (!out->records || !out->pool) {
		*why = "out of memory";
		goto bad;
	}
	size_t at = HEADER, used = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (size - at >= RECORD && get16(buf + at + 2) > most - used) {
			*why = "wrong number of arguments";
			goto bad;
		}
		int n = parse_record(buf, size, &at, &out->records[i], out->pool + used, why);
		if (n < 0)
			goto bad;
		used += (size_t)n;
	}
	if (at != size) {
		*why = "bytes after the last record";
		goto bad;
	}
	out->count = count;
	return 0;
bad:
	plan_free(out);
	errno = EINVAL;
	return -1;
}

int plan_read(int fd, struct plan *out, const char **why)
{
	*out = (struct plan){0};
	size_t room = 16384, size = 0;
	char *buf = malloc(room);
	if (!buf) {
		*why = "out of memory";
		return -1;
	}
	for (;;) {
		if (size == room) {
			char *more = room < PLAN_MAX_SIZE ? realloc(buf, room * 2) : NULL;
			if (!more) {
				*why = room < PLAN_MAX_SIZE ? "out of memory" : "plan larger than 1 MiB";
				free(buf);
				errno = E2BIG;
				return -1;
			}
			buf = more;
			room *= 2;
		}
		ssize_t n = read(fd, buf + size, room - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			*why = "cannot be read";
			free(buf);
			return -1;
		}
		if (n == 0)
			break;
		size += (size_t)n;
	}
	return plan_parse(buf, size, out, why);
}

void plan_free(struct plan *p)
{
	free(p->records);
	free(p->pool);
	free(p->buf);
	*p = (struct plan){0};
}

const struct plan_record *plan_find(const struct plan *p, enum plan_op op)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->records[i].op == op)
			return &p->records[i];
	return NULL;
}

static bool number(const struct plan_arg *a, unsigned base, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	if (a->len == 0)
		return false;
	for (uint32_t i = 0; i < a->len; i++) {
		unsigned d = (unsigned char)a->data[i] - (unsigned)'0';
		if (d >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
			return false;
	}
	if (v > max)
		return false;
	*out = v;
	return true;
}

bool plan_u64(const struct plan_arg *a, uint64_t max, uint64_t *out)
{
	return number(a, 10, max, out);
}

bool plan_octal(const struct plan_arg *a, uint32_t max, uint32_t *out)
{
	uint64_t v;
	if (!number(a, 8, max, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}
