/* fs_root.c - the guest's root, put together by the host in the keeper's mount namespace and left as a detached mount. */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"
#include "userns.h"
#include "util.h"

enum { OVERLAY_WAIT_MS = 2000, OVERLAY_STEP_MS = 5, FSCONFIG_VALUE_MAX = 255 };

struct work {
	const struct plan *plan;
	struct scratch *scratch;
	int userns, rundir;
	bool loops_released;
};

static int make_scratch(struct work *w, const char *path)
{
	static const struct plan_arg options[] = {{"source=berth", 12}, {"mode=0700", 9}, {"size=64k", 8}};
	if (w->scratch->fd >= 0)
		return fail_with(EEXIST, "scratch", "%s: given twice", path);
	cleanup_fd int mnt = fs_make("scratch", "tmpfs", options, 3, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mnt < 0)
		return -1;
	if (move_mount(mnt, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail("scratch", "%s", path);
	w->scratch->path = path;
	w->scratch->fd = take_fd(&mnt);
	return 0;
}

/* Attaches a detached mount as SCRATCH/id. */
static int add_mount(struct work *w, const char *step, const char *id, int mnt)
{
	if (w->scratch->fd < 0)
		return fail_with(EINVAL, step, "%s: the plan has no scratch directory", id);
	if (*id == '\0' || strchr(id, '/') || *id == '.')
		return fail_with(EINVAL, step, "%s: not an id", id);
	if (mkdirat(w->scratch->fd, id, 0700) < 0)
		return fail(step, "@%s", id);
	cleanup_fd int at = openat(w->scratch->fd, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0)
		return fail(step, "@%s", id);
	return fs_attach(step, mnt, at, id);
}

/* "@ID/path" -> an O_PATH fd, nothing followed; anything else is a path of the host. */
static int open_source(const struct work *w, const char *step, const char *source)
{
	int fd = *source != '@' ? open(source, O_PATH | O_CLOEXEC)
				: open_in_root(w->scratch->fd, source + 1, O_PATH, 0);
	return fd < 0 ? fail(step, "%s", source) : fd;
}

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);
	for (; *list; list += strcspn(list, ","), list += *list == ',')
		if (strncmp(list, word, len) == 0 && (list[len] == ',' || list[len] == '\0'))
			return true;
	return false;
}

static int add_loop(struct work *w, const struct plan_record *r)
{
	const char *id = r->args[0].data, *image = r->args[1].data, *fstype = r->args[2].data;
	struct loop_how how = {.direct_io = has_word(r->args[4].data, "dio"), .shared = has_word(r->args[4].data, "shared")};
	if (!how.shared && !w->loops_released) {
		if (loop_release("loop", w->rundir) < 0)
			return -1;
		if (unlinkat(w->rundir, "loop", 0) < 0 && errno != ENOENT)
			return fail("loop", "RUNDIR/loop");
		w->loops_released = true;
	}
	cleanup_free char *options = strdup(r->args[3].data);
	if (!options)
		return fail("loop", "memory");
	struct plan_arg list[33];
	char device[32], source[48];
	size_t n = 1;
	for (char *save = NULL, *word = strtok_r(options, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (n == sizeof list / sizeof list[0])
			return fail_with(E2BIG, "loop", "%s: too many mount options", image);
		how.read_only = how.read_only || strcmp(word, "ro") == 0;
		list[n++] = (struct plan_arg){word, (uint32_t)strlen(word)};
	}
	cleanup_fd int loop = loop_bind(w->rundir, image, how, device);
	if (loop < 0)
		return -1;
	snprintf(source, sizeof source, "source=%s", device);
	list[0] = (struct plan_arg){source, (uint32_t)strlen(source)};
	cleanup_fd int mnt = fs_make("loop", fstype, list, n, 0);
	if (mnt < 0)
		return -1;
	return add_mount(w, "loop", id, mnt);
}

/* "shift=FROM" -> a user namespace to id-map by. 0 when the word is another, 1 when *userns is it. */
static int take_shift(const struct work *w, const struct plan_arg *word, int *userns)
{
	static const char key[] = "shift=";
	uint64_t from;
	if (strncmp(word->data, key, sizeof key - 1) != 0)
		return 0;
	const struct plan_arg number = {word->data + sizeof key - 1, word->len - (uint32_t)(sizeof key - 1)};
	if (!plan_u64(&number, UINT32_MAX, &from) || *userns >= 0)
		return fail_with(EINVAL, "bind", "%s", word->data);
	*userns = userns_shifted(w->plan, (uint32_t)from);
	return *userns < 0 ? -1 : 1;
}

static int add_bind(struct work *w, const struct plan_record *r)
{
	struct mount_flags flags = {0};
	cleanup_fd int shifted = -1;
	for (uint16_t i = 2; i < r->argc; i++) {
		int taken = take_shift(w, &r->args[i], &shifted);
		if (taken < 0 || (taken == 0 && fs_flags("bind", r->args[i].data, &flags) < 0))
			return -1;
	}
	if (shifted >= 0 && flags.idmap)
		return fail_with(EINVAL, "bind", "%s: idmap and shift at once", r->args[0].data);
	flags.idmap = flags.idmap || shifted >= 0;
	cleanup_fd int source = open_source(w, "bind", r->args[1].data);
	if (source < 0)
		return -1;
	cleanup_fd int mnt = fs_clone("bind", source, "", &flags, shifted >= 0 ? shifted : w->userns);
	if (mnt < 0)
		return fail_about(r->args[1].data);
	return add_mount(w, "bind", r->args[0].data, mnt);
}

static int owned_dir(struct work *w, const struct plan_record *r)
{
	const char *path = r->args[0].data, *base;
	uint32_t mode;
	uint64_t uid, gid;
	if (*path != '@' || !plan_octal(&r->args[1], 07777, &mode) || !plan_u64(&r->args[2], UINT32_MAX - 1, &uid) ||
	    !plan_u64(&r->args[3], UINT32_MAX - 1, &gid))
		return fail_with(EINVAL, "owned-dir", "%s: bad arguments", path);
	if (w->scratch->fd < 0)
		return fail_with(EINVAL, "owned-dir", "the plan has no scratch directory");
	cleanup_fd int parent = fs_parent("owned-dir", w->scratch->fd, path + 1, &base);
	if (parent < 0)
		return -1;
	if (mkdirat(parent, base, 0700) < 0 && errno != EEXIST)
		return fail("owned-dir", "%s", path);
	cleanup_fd int dir = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (dir < 0 || fstat(dir, &st) < 0)
		return fail("owned-dir", "%s", path);
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(dir, (uid_t)uid, (gid_t)gid) < 0)
		return fail("owned-dir", "%s: owner", path);
	if ((st.st_mode & 07777) != mode && fchmod(dir, mode) < 0)
		return fail("owned-dir", "%s: mode", path);
	return 0;
}

/* Overlay silently mounts read-only when it cannot use its work directory; a full disk on the other hand is no
 * reason to refuse a start. */
static int check_writable(int root)
{
	struct statvfs st;
	if (fstatvfs(root, &st) < 0)
		return fail("root-overlay", "statfs");
	bool ro = st.f_flag & ST_RDONLY;
	if (!ro) {
		cleanup_fd int dir = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cleanup_fd int probe = dir < 0 ? -1 : openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (dir < 0)
			return fail("root-overlay", "open");
		ro = probe < 0 && errno == EROFS;
	}
	if (ro)
		return fail_with(EROFS, "root-overlay",
				 "the overlay came up read-only: its upper or work directory cannot be written to");
	return 0;
}

/* The options as the kernel gets them: all lower directories in one value, and "@ID/path" relative to SCRATCH (the
 * working directory while mounting: values stay short, and the guest's mountinfo shows no path of the host). */
struct overlay {
	struct plan_arg options[66];
	size_t count;
	char *lower;
	char *all; /* comma separated, for mount(2), which takes the source apart from the options */
	const char *source;
	bool longer;
	bool writable; /* has an upper directory */
};

static void overlay_free(struct overlay *o)
{
	free(o->lower);
	free(o->all);
}

/* Appends value to *at, dropping the '@' that opens a segment. */
static char *append_path(char *at, const char *value, bool list)
{
	bool opens = true;
	for (; *value; value++) {
		if (!(opens && *value == '@'))
			*at++ = *value;
		opens = list && *value == ':';
	}
	*at = '\0';
	return at;
}

static int overlay_options(const struct plan_record *r, struct overlay *o)
{
	size_t room = 64;
	for (uint16_t i = 0; i < r->argc; i++)
		room += r->args[i].len + 2;
	o->lower = malloc(room);
	o->all = calloc(1, room);
	if (!o->lower || !o->all)
		return fail("root-overlay", "memory");
	o->source = "overlay";
	char *at = stpcpy(o->lower, "lowerdir="), *all = o->all;
	const char *first = at;
	for (uint16_t i = 0; i < r->argc; i++) {
		char *option = (char *)(uintptr_t)r->args[i].data;
		size_t key = strcspn(option, "=");
		if (option[key] == '=' && ((key == 8 && strncmp(option, "lowerdir", 8) == 0) || (key == 9 && strncmp(option, "lowerdir+", 9) == 0))) {
			if (at != first)
				*at++ = ':';
			at = append_path(at, option + key + 1, true);
			continue;
		}
		o->writable = o->writable || strncmp(option, "upperdir=", 9) == 0;
		if (option[key] == '=')
			append_path(option + key + 1, option + key + 1, false);
		o->options[o->count++] = (struct plan_arg){option, (uint32_t)strlen(option)};
	}
	if (at == first)
		return fail_with(EINVAL, "root-overlay", "no lower directory");
	o->options[o->count++] = (struct plan_arg){o->lower, (uint32_t)strlen(o->lower)};
	for (size_t i = 0; i < o->count; i++) {
		const char *eq = strchr(o->options[i].data, '=');
		o->longer = o->longer || (eq && strlen(eq + 1) > FSCONFIG_VALUE_MAX);
		if (strncmp(o->options[i].data, "source=", 7) == 0)
			o->source = o->options[i].data + 7;
		else
			all = stpcpy(stpcpy(all, all > o->all ? "," : ""), o->options[i].data);
	}
	return 0;
}

/* Values longer than fsconfig takes go the old way, by a mount that is cloned; SCRATCH takes the original with it. */
static int mount_overlay(const struct work *w, const struct overlay *o)
{
	static const struct mount_flags none;
	if (!o->longer)
		return fs_make("root-overlay", "overlay", o->options, o->count, 0);
	if (mkdirat(w->scratch->fd, ".root", 0700) < 0 && errno != EEXIST)
		return fail("root-overlay", "SCRATCH");
	if (mount(o->source, ".root", "overlay", 0, o->all) < 0)
		return fail("root-overlay", "overlay with many layers");
	return fs_clone("root-overlay", AT_FDCWD, ".root", &none, -1);
}

static int root_overlay(struct work *w, const struct plan_record *r)
{
	__attribute__((cleanup(overlay_free))) struct overlay o = {0};
	if (overlay_options(r, &o) < 0)
		return -1;
	if (w->scratch->fd >= 0 && fchdir(w->scratch->fd) < 0)
		return fail("root-overlay", "SCRATCH");
	/* EBUSY: the previous mount of this upper directory is still on its way out. */
	uint64_t deadline = clock_us() + OVERLAY_WAIT_MS * 1000ULL;
	cleanup_fd int root = -1;
	while ((root = mount_overlay(w, &o)) < 0 && failure.err == EBUSY && clock_us() < deadline)
		sleep_ms(OVERLAY_STEP_MS);
	if (root < 0 && failure.err == EBUSY)
		(void)fail_about("its upper or work directory is still mounted elsewhere");
	if (root < 0 && failure.err == ESTALE) /* index=on ties an upper to its lower */
		(void)fail_about("its upper directory belongs to other lower directories than these");
	if (chdir("/") < 0 || root < 0)
		return -1;
	return o.writable && check_writable(root) < 0 ? -1 : take_fd(&root);
}

static int root_bind(struct work *w, const struct plan_record *r)
{
	struct mount_flags flags = {0};
	for (uint16_t i = 1; i < r->argc; i++)
		if (fs_flags("root-bind", r->args[i].data, &flags) < 0)
			return -1;
	cleanup_fd int source = open_source(w, "root-bind", r->args[0].data);
	if (source < 0)
		return -1;
	return fs_clone("root-bind", source, "", &flags, w->userns);
}

/* Carries out one record; a root made by it goes to *root. */
static int one(struct work *w, const struct plan_record *r, int *root)
{
	switch (r->op) {
	case OP_SCRATCH:
		return make_scratch(w, r->args[0].data);
	case OP_LOOP:
		return add_loop(w, r);
	case OP_BIND:
		return add_bind(w, r);
	case OP_OWNED_DIR:
		return owned_dir(w, r);
	case OP_ROOT_OVERLAY:
	case OP_ROOT_BIND:
		if (*root >= 0)
			return fail_with(EEXIST, "plan", "two roots");
		*root = r->op == OP_ROOT_BIND ? root_bind(w, r) : root_overlay(w, r);
		return *root < 0 ? -1 : 0;
	default:
		return 0;
	}
}

int fs_bind_host(const struct plan_record *r, int userns, const struct scratch *scratch)
{
	const char *source = r->args[0].data;
	struct mount_flags flags = {0};
	if (fs_flags("bind-host", r->args[2].data, &flags) < 0)
		return -1;
	/* A path of the host was resolved when it was checked: a link that is there now came later. */
	cleanup_fd int from = *source == '@' ? open_in_root(scratch->fd, source + 1, O_PATH, 0) : open_in_root(AT_FDCWD, source, O_PATH, 0);
	if (from < 0)
		return fail("bind-host", "%s", source);
	cleanup_fd int mnt = fs_clone("bind-host", from, "", &flags, userns);
	if (mnt < 0 || (flags.set && userns >= 0 && fs_lock("bind-host", mnt, userns) < 0))
		return fail_about(source);
	return take_fd(&mnt);
}

int fs_scratch_drop(struct scratch *scratch)
{
	close_fd(&scratch->fd);
	if (scratch->path && umount2(scratch->path, MNT_DETACH) < 0)
		return fail("scratch", "%s: unmount", scratch->path);
	scratch->path = NULL;
	return 0;
}

static int carry_out(const struct plan *p, int userns, int rundir, struct scratch *scratch, int *root)
{
	struct work w = {.plan = p, .scratch = scratch, .userns = userns, .rundir = rundir};
	int result = 0;
	for (uint32_t i = 0; i < p->count && result == 0; i++)
		result = one(&w, &p->records[i], root);
	return result;
}

int fs_root(const struct plan *p, int userns, int rundir, struct scratch *scratch)
{
	cleanup_fd int root = -1;
	if (carry_out(p, userns, rundir, scratch, &root) < 0)
		return -1;
	return root < 0 ? fail_with(EINVAL, "plan", "no root file system") : take_fd(&root);
}

int fs_sources(const struct plan *p, int userns, int rundir, struct scratch *scratch)
{
	cleanup_fd int root = -1;
	if (carry_out(p, userns, rundir, scratch, &root) < 0)
		return -1;
	return root < 0 ? 0 : fail_with(EINVAL, "plan", "a root for a guest that has one");
}
