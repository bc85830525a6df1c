/* fs_nodes.c - device nodes, directories and links below a guest's root, made by the host. The root may be hostile:
 * every path is walked by openat2 below it, no link followed, and the last component is never followed either. */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util.h"

static int path_error(const char *step, const char *path)
{
	if (errno == ELOOP)
		return fail(step, "%s: a part of this path is a symbolic link in the guest", path);
	if (errno == ENOTDIR)
		return fail(step, "%s: a part of this path is not a directory in the guest", path);
	return fail(step, "%s", path);
}

int fs_parent(const char *step, int root, const char *path, const char **base)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');
	*base = slash ? slash + 1 : path;
	size_t len = slash ? (size_t)(slash - path) : 0;
	if (**base == '\0' || strcmp(*base, ".") == 0 || strcmp(*base, "..") == 0 || len >= sizeof dir)
		return fail_with(EINVAL, step, "%s: not a path of a file", path);
	memcpy(dir, path, len);
	dir[len] = '\0';
	int fd = open_in_root(root, len ? dir : ".", O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? path_error(step, path) : fd;
}

int fs_parents(const char *step, int root, const char *path, bool leaf)
{
	char part[4096];
	size_t total = strlen(path);
	if (total >= sizeof part)
		return fail_with(ENAMETOOLONG, step, "%s", path);
	for (size_t len = 1; len <= total; len++) {
		if (path[len] != '/' && (path[len] != '\0' || !leaf))
			continue;
		memcpy(part, path, len);
		part[len] = '\0';
		const char *base;
		cleanup_fd int dir = open_in_root(root, part, O_PATH, 0);
		if (dir >= 0)
			continue;
		if (errno != ENOENT)
			return path_error(step, path);
		cleanup_fd int parent = fs_parent(step, root, part, &base);
		if (parent < 0)
			return -1;
		if (mkdirat(parent, base, 0755) < 0 || fchmodat(parent, base, 0755, 0) < 0)
			return fail(step, "%s", part);
	}
	return 0;
}

struct owner {
	uint32_t mode;
	uint64_t uid, gid;
};

/* Removes what is there, whatever it is; a directory only when it is empty. */
static int clear_place(const char *step, int parent, const char *base, const char *path)
{
	if (unlinkat(parent, base, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR && unlinkat(parent, base, AT_REMOVEDIR) == 0)
		return 0;
	return fail(step, "%s: what is there cannot be removed", path);
}

/* Mode and owner of what was just made, by name: nothing of the guest runs that could swap it. */
static int set_owner(const char *step, int parent, const char *base, const char *path, const struct owner *o)
{
	if (fchownat(parent, base, (uid_t)o->uid, (gid_t)o->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(step, "%s: owner", path);
	if (fchmodat(parent, base, o->mode, 0) < 0)
		return fail(step, "%s: mode", path);
	return 0;
}

static bool right_owner(const struct stat *st, const struct owner *o)
{
	return (st->st_mode & 07777) == o->mode && st->st_uid == o->uid && st->st_gid == o->gid;
}

static int make_node(int root, const struct plan_record *r)
{
	const char *path = r->args[0].data, *base;
	uint64_t maj, min;
	struct owner o;
	char kind = r->args[1].data[0];
	if ((kind != 'c' && kind != 'b') || !plan_u64(&r->args[2], 0xfff, &maj) || !plan_u64(&r->args[3], 0xfffff, &min) ||
	    !plan_octal(&r->args[4], 07777, &o.mode) || !plan_u64(&r->args[5], UINT32_MAX - 1, &o.uid) ||
	    !plan_u64(&r->args[6], UINT32_MAX - 1, &o.gid))
		return fail_with(EINVAL, "node", "%s: bad arguments", path);
	mode_t type = kind == 'c' ? S_IFCHR : S_IFBLK;
	dev_t dev = makedev((unsigned)maj, (unsigned)min);
	cleanup_fd int parent = fs_parent("node", root, path, &base);
	if (parent < 0)
		return -1;
	struct stat st;
	if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		bool same = (st.st_mode & S_IFMT) == type && st.st_rdev == dev;
		if (same && right_owner(&st, &o))
			return 0;
		if (!same && clear_place("node", parent, base, path) < 0)
			return -1;
		if (same)
			return set_owner("node", parent, base, path, &o);
	}
	if (mknodat(parent, base, type | o.mode, dev) < 0)
		return fail("node", "%s", path);
	return set_owner("node", parent, base, path, &o);
}

static int make_dir(int root, const struct plan_record *r)
{
	const char *path = r->args[0].data, *base;
	struct owner o;
	if (!plan_octal(&r->args[1], 07777, &o.mode) || !plan_u64(&r->args[2], UINT32_MAX - 1, &o.uid) ||
	    !plan_u64(&r->args[3], UINT32_MAX - 1, &o.gid))
		return fail_with(EINVAL, "dir", "%s: bad arguments", path);
	cleanup_fd int parent = fs_parent("dir", root, path, &base);
	if (parent < 0)
		return -1;
	struct stat st;
	if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(st.st_mode))
			return fail_with(ENOTDIR, "dir", "%s: it is not a directory in the guest", path);
		return 0;
	}
	if (mkdirat(parent, base, o.mode) < 0)
		return fail("dir", "%s", path);
	return set_owner("dir", parent, base, path, &o);
}

static int make_symlink(int root, const struct plan_record *r)
{
	const char *path = r->args[0].data, *target = r->args[1].data, *base;
	uint64_t uid, gid;
	if (!plan_u64(&r->args[2], UINT32_MAX - 1, &uid) || !plan_u64(&r->args[3], UINT32_MAX - 1, &gid))
		return fail_with(EINVAL, "symlink", "%s: bad arguments", path);
	cleanup_fd int parent = fs_parent("symlink", root, path, &base);
	if (parent < 0)
		return -1;
	char now[4096];
	ssize_t n = readlinkat(parent, base, now, sizeof now);
	if (n >= 0 && (size_t)n == r->args[1].len && memcmp(now, target, (size_t)n) == 0)
		return 0;
	if (clear_place("symlink", parent, base, path) < 0)
		return -1;
	if (symlinkat(target, parent, base) < 0)
		return fail("symlink", "%s", path);
	if (fchownat(parent, base, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail("symlink", "%s: owner", path);
	return 0;
}

int fs_nodes(const struct plan *p, int root)
{
	int result = 0;
	for (uint32_t i = 0; i < p->count && result == 0; i++) {
		const struct plan_record *r = &p->records[i];
		if (r->op == OP_NODE)
			result = make_node(root, r);
		else if (r->op == OP_DIR)
			result = make_dir(root, r);
		else if (r->op == OP_SYMLINK)
			result = make_symlink(root, r);
	}
	return result;
}
