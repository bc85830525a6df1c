/* prepared.c - the records of a prepared start, one at a time: what must still be so, and what is made. */
#include "prepared.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netlink.h"
#include "util.h"

enum { TEXT_MAX = 4096 };

bool prepared_read(const char *path, struct plan *p)
{
	const char *why;
	struct stat st;
	cleanup_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 && (st.st_mode & 022) == 0 &&
	       plan_read(fd, p, &why) == 0;
}

static intmax_t nanoseconds(struct timespec t)
{
	return (intmax_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool prepared_stamp(const char *path, char *out, size_t size)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return false;
	int n = snprintf(out, size, "%ju %ju %jd %jd %jd", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (intmax_t)st.st_size,
			 nanoseconds(st.st_mtim), nanoseconds(st.st_ctim));
	return n > 0 && (size_t)n < size;
}

static bool same_file(const char *path, const char *wanted)
{
	char is[160];
	errno = 0;
	if (!prepared_stamp(path, is, sizeof is))
		return (errno == ENOENT || errno == ENOTDIR) && strcmp(wanted, "-") == 0;
	return strcmp(wanted, "+") == 0 || strcmp(wanted, is) == 0;
}

static bool same_text(const char *path, const char *wanted)
{
	char text[TEXT_MAX];
	ssize_t n = read_file_at(AT_FDCWD, path, text, sizeof text);
	while (n > 0 && strchr(" \t\n", text[n - 1]))
		text[--n] = '\0';
	return n >= 0 && strcmp(text, wanted) == 0;
}

static void close_file(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

bool prepared_mounted(const char *words)
{
	__attribute__((cleanup(close_file))) FILE *table = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	size_t room = 0;
	while (table && getline(&line, &room, table) > 0)
		if (strstr(line, words))
			return true;
	return !table || ferror(table);
}

static bool not_mounted(const char *source)
{
	cleanup_free char *field = NULL;
	if (asprintf(&field, " %s ", source) < 0)
		return false;
	return !prepared_mounted(field);
}

/* The kernel answers with the table itself where it has one, else with an error. */
static bool has_nft_table(const char *name)
{
	struct nl m;
	cleanup_fd int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct nfgenmsg *body = nl_start(&m, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE, 0, sizeof *body);
	if (sock < 0 || !body)
		return false;
	body->nfgen_family = 1; /* NFPROTO_INET */
	return nl_put_string(&m, NFTA_TABLE_NAME, name) == 0 && nl_do(sock, &m) < 0 && errno == EPROTO;
}

static bool make_dir(const struct plan_record *r)
{
	uint32_t mode;
	if (!plan_octal(&r->args[1], 07777, &mode))
		return false;
	return mkdir(r->args[0].data, (mode_t)mode) == 0 || (errno == EEXIST && strcmp(r->args[2].data, "any") == 0);
}

/* Files of the kernel take what is written to them at once. */
static bool write_once(const struct plan_record *r)
{
	cleanup_fd int fd = open(r->args[0].data, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT && strcmp(r->args[2].data, "may") == 0;
	return write(fd, r->args[1].data, r->args[1].len) == (ssize_t)r->args[1].len;
}

static bool change_owner(const struct plan_record *r)
{
	uint64_t uid, gid;
	return plan_u64(&r->args[1], UINT32_MAX - 1, &uid) && plan_u64(&r->args[2], UINT32_MAX - 1, &gid) &&
	       chown(r->args[0].data, (uid_t)uid, (gid_t)gid) == 0;
}

static bool put_file(const struct plan_record *r)
{
	uint32_t mode;
	if (!plan_octal(&r->args[1], 0777, &mode))
		return false;
	cleanup_fd int fd = open(r->args[0].data, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
	return fd >= 0 && write_all(fd, r->args[2].data, r->args[2].len) == 0;
}

static bool holds(const struct plan_record *r)
{
	switch (r->op) {
	case OP_SAME_FILE:
		return same_file(r->args[0].data, r->args[1].data);
	case OP_SAME_TEXT:
		return same_text(r->args[0].data, r->args[1].data);
	case OP_NOT_MOUNTED:
		return not_mounted(r->args[0].data);
	case OP_NFT_TABLE:
		return has_nft_table(r->args[0].data);
	default:
		return true;
	}
}

static bool make(const struct plan_record *r)
{
	switch (r->op) {
	case OP_MAKE_DIR:
		return make_dir(r);
	case OP_WRITE:
		return write_once(r);
	case OP_CHOWN:
		return change_owner(r);
	case OP_PUT:
		return put_file(r);
	default:
		return true;
	}
}

bool prepared_holds(const struct plan *p)
{
	bool so = true;
	for (uint32_t i = 0; i < p->count && so; i++)
		so = holds(&p->records[i]);
	return so;
}

bool prepared_make(const struct plan *p)
{
	bool made = true;
	for (uint32_t i = 0; i < p->count && made; i++)
		made = make(&p->records[i]);
	return made;
}

const struct plan_record *prepared_state(const struct plan *p, const char *state, const struct plan_record **launch)
{
	const struct plan_record *found = NULL;
	for (uint32_t i = 0; i < p->count; i++) {
		const struct plan_record *r = &p->records[i];
		if (r->op == OP_STATE && !found && strcmp(r->args[0].data, state) == 0)
			found = r;
		if (r->op == OP_LAUNCH && found) {
			*launch = r;
			return found;
		}
	}
	return NULL;
}
