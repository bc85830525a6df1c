/* tree_meta.c - what an entry carries besides its content: owner, mode, times, extended attributes. */
#include "tree_meta.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "util.h"

#define OVERLAY "trusted.overlay."

/* linux/posix_acl_xattr.h: a version, then entries of u16 tag, u16 perm, u32 id; only these two tags carry an id. */
enum { ACL_VERSION = 2, ACL_HEADER = 4, ACL_ENTRY = 8, TAG_USER = 0x02, TAG_GROUP = 0x08 };

uint32_t shift_id(const struct shift *s, uint32_t id)
{
	return id - s->from < s->count ? s->to + (id - s->from) : id;
}

static bool starts(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool is_acl(const char *name)
{
	return strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
}

/* opaque and the rest say what the tree means; origin, uuid, nlink, impure, upper say which inodes it lay on. An
 * escaped attribute is one of an overlay inside the guest. protattr is the guest's chattr. */
bool meta_keeps(const char *name)
{
	static const char *const kept[] = {"opaque", "redirect", "metacopy", "whiteout", "whiteouts", "protattr"};
	if (!starts(name, OVERLAY))
		return starts(name, "user.") || starts(name, "trusted.") || starts(name, "security.") || is_acl(name);
	const char *own = name + strlen(OVERLAY);
	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
		if (strcmp(own, kept[i]) == 0)
			return true;
	return starts(own, "overlay.");
}

static uint32_t get32(const unsigned char *at)
{
	uint32_t v;
	memcpy(&v, at, sizeof v);
	return le32toh(v);
}

static void shift_at(const struct shift *s, unsigned char *at)
{
	uint32_t v = htole32(shift_id(s, get32(at)));
	memcpy(at, &v, sizeof v);
}

void meta_shift_value(const struct shift *s, const char *name, unsigned char *value, size_t len)
{
	if (is_acl(name) && len >= ACL_HEADER && get32(value) == ACL_VERSION) {
		for (size_t at = ACL_HEADER; at + ACL_ENTRY <= len; at += ACL_ENTRY) {
			unsigned tag = value[at] | (unsigned)value[at + 1] << 8;
			if (tag == TAG_USER || tag == TAG_GROUP)
				shift_at(s, value + at + 4);
		}
	}
	if (strcmp(name, "security.capability") == 0 && len == XATTR_CAPS_SZ_3 &&
	    (get32(value) & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_3)
		shift_at(s, value + XATTR_CAPS_SZ_3 - 4);
}

/* The f*xattr calls refuse an O_PATH descriptor; by way of /proc they reach the very inode, a symbolic link too. */
struct node {
	int fd;
	char path[32];
};

static struct node node_of(int fd)
{
	struct node n = {.fd = fd};
	snprintf(n.path, sizeof n.path, "/proc/self/fd/%d", fd);
	return n;
}

static ssize_t list_of(const struct node *n, char *names, size_t size)
{
	ssize_t len = flistxattr(n->fd, names, size);
	if (len < 0 && errno == EBADF)
		len = listxattr(n->path, names, size);
	return len < 0 && errno == EOPNOTSUPP ? 0 : len;
}

static ssize_t value_of(const struct node *n, const char *name, void *value, size_t size)
{
	ssize_t len = fgetxattr(n->fd, name, value, size);
	return len < 0 && errno == EBADF ? getxattr(n->path, name, value, size) : len;
}

static int set_value(const struct node *n, const char *name, const void *value, size_t len)
{
	int result = fsetxattr(n->fd, name, value, len, 0);
	return result < 0 && errno == EBADF ? setxattr(n->path, name, value, len, 0) : result;
}

static int drop_value(const struct node *n, const char *name)
{
	int result = fremovexattr(n->fd, name);
	return result < 0 && errno == EBADF ? removexattr(n->path, name) : result;
}

static bool has_name(const char *names, ssize_t len, const char *name)
{
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
		if (strcmp(names + at, name) == 0)
			return true;
	return false;
}

/* What dst has and src has not: from an earlier pass, or inherited from a directory's default ACL. How many, or -1. */
static int drop_others(const struct node *dst, const char *wanted, ssize_t len)
{
	int dropped = 0;
	static char names[XATTR_LIST_MAX];
	ssize_t found = list_of(dst, names, sizeof names);
	if (found < 0)
		return fail("xattr", "the destination's list");
	for (ssize_t at = 0; at < found; at += (ssize_t)strlen(names + at) + 1) {
		if (!meta_keeps(names + at) || has_name(wanted, len, names + at))
			continue;
		if (drop_value(dst, names + at) < 0 && errno != ENODATA)
			return fail("xattr", "%s: remove", names + at);
		dropped++;
	}
	return dropped;
}

/* How many were set or removed, or -1. */
static int copy_xattrs(const struct shift *s, int src_fd, int dst_fd)
{
	static char names[XATTR_LIST_MAX];
	static unsigned char value[XATTR_SIZE_MAX];
	struct node src = node_of(src_fd), dst = node_of(dst_fd);
	ssize_t found = list_of(&src, names, sizeof names);
	if (found < 0)
		return fail("xattr", "the source's list");
	int changed = drop_others(&dst, names, found);
	if (changed < 0)
		return -1;
	for (ssize_t at = 0; at < found; at += (ssize_t)strlen(names + at) + 1) {
		const char *name = names + at;
		if (!meta_keeps(name))
			continue;
		ssize_t len = value_of(&src, name, value, sizeof value);
		if (len < 0 && errno == ENODATA) /* removed meanwhile: its ctime tells the next pass */
			continue;
		if (len < 0)
			return fail("xattr", "%s: read", name);
		meta_shift_value(s, name, value, (size_t)len);
		if (set_value(&dst, name, value, (size_t)len) < 0)
			return fail("xattr", "%s: write", name);
		changed++;
	}
	return changed;
}

static int copy_mode(int dst, const struct stat *st)
{
	struct node n = node_of(dst);
	int result = fchmod(dst, st->st_mode & 07777);
	if (result < 0 && errno == EBADF)
		result = chmod(n.path, st->st_mode & 07777);
	return result < 0 ? fail("mode", "%04o", st->st_mode & 07777U) : 0;
}

int meta_times(int dst, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	return utimensat(dst, "", times, AT_EMPTY_PATH) < 0 ? fail("times", "set") : 0;
}

/* In this order: a new owner clears set-id bits and capabilities, an ACL changes the mode, all change the times. */
int meta_copy(const struct shift *s, int src, int dst, const struct stat *st)
{
	uid_t uid = shift_id(s, st->st_uid);
	gid_t gid = shift_id(s, st->st_gid);
	struct stat is;
	if (fstat(dst, &is) < 0)
		return fail("owner", "stat");
	bool chown = is.st_uid != uid || is.st_gid != gid;
	if (chown && fchownat(dst, "", uid, gid, AT_EMPTY_PATH) < 0)
		return fail("owner", "%u:%u", uid, gid);
	int changed = copy_xattrs(s, src, dst);
	if (changed < 0)
		return -1;
	if (!S_ISLNK(st->st_mode) && (chown || changed > 0 || is.st_mode != st->st_mode) && copy_mode(dst, st) < 0)
		return -1;
	return meta_times(dst, st);
}
