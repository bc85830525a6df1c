/* audit_cgroup.c - out of the cgroups, and past the limits they keep. Each hierarchy is mounted anew: what a guest was given to
 * see is not all it can reach. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_HIERARCHIES = 24, PATH_SIZE = 512 };

struct hierarchy {
	char controllers[96]; /* "" for v2 */
	char path[PATH_SIZE]; /* of this process, as it sees it */
};

static int read_hierarchies(struct hierarchy *list)
{
	char line[PATH_SIZE + 128];
	int count = 0;
	FILE *f = fopen("/proc/self/cgroup", "re");
	while (f && count < MOST_HIERARCHIES && fgets(line, sizeof line, f)) {
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		snprintf(list[count].controllers, sizeof list[count].controllers, "%s", controllers + 1);
		snprintf(list[count++].path, PATH_SIZE, "%s", path);
	}
	if (f)
		fclose(f);
	return count;
}

/* Over the scratch directory, where it stays until the attempt's own mount namespace goes. */
static int mount_hierarchy(const struct hierarchy *h)
{
	char options[128];
	if (!scratch()) {
		errno = EPERM;
		return -1;
	}
	if (h->controllers[0] == '\0')
		return mount("cgroup2", scratch(), "cgroup2", 0, NULL);
	snprintf(options, sizeof options, "%s%s", strncmp(h->controllers, "name=", 5) == 0 ? "none," : "", h->controllers);
	return mount("cgroup", scratch(), "cgroup", 0, options);
}

static struct result open_below(const char *dir, const char *name)
{
	char path[PATH_SIZE * 2];
	snprintf(path, sizeof path, "%s%s/%s", scratch(), dir, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return failed();
	close(fd);
	return through("");
}

static struct result write_below(const char *dir, const char *name, const char *text)
{
	char path[PATH_SIZE * 2];
	snprintf(path, sizeof path, "%s%s/%s", scratch(), dir, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return failed();
	struct result r = write(fd, text, strlen(text)) < 0 ? failed() : through("");
	close(fd);
	return r;
}

/* The first line of a file, "" when there is none. */
static void read_below(const char *dir, const char *name, char *text, int size)
{
	char path[PATH_SIZE * 2];
	snprintf(path, sizeof path, "%s%s/%s", scratch(), dir, name);
	FILE *f = fopen(path, "re");
	if (!f || !fgets(text, size, f))
		text[0] = '\0';
	if (f)
		fclose(f);
}

/* Tries `one` on every hierarchy, until it gets through; an error that says more than "no such file" is kept. */
static struct result everywhere(struct result (*one)(const struct hierarchy *))
{
	static struct hierarchy list[MOST_HIERARCHIES];
	int count = read_hierarchies(list);
	struct result r = blocked(ENOENT, "");
	if (!own_mounts())
		return failed();
	for (int i = 0; i < count && !r.through; i++) {
		struct result next = mount_hierarchy(&list[i]) < 0 ? failed() : one(&list[i]);
		if (next.through || next.err != ENOENT)
			r = next;
	}
	return r;
}

static struct result release_agent_of(const struct hierarchy *h)
{
	return h->controllers[0] ? open_below("", "release_agent") : blocked(ENOENT, "");
}

/* kernfs numbers the root of a hierarchy 1. */
static struct result join_top(const struct hierarchy *h)
{
	struct stat st;
	(void)h;
	if (stat(scratch(), &st) < 0)
		return failed();
	return st.st_ino == 1 ? open_below("", "cgroup.procs") : blocked(0, "its own root is the highest it sees");
}

/* Whether a file holds a number: "max" and -1 are none, and v1 calls none a number near 2^63. */
static bool is_limit(const char *dir, const char *name)
{
	char text[32];
	read_below(dir, name, text, sizeof text);
	return text[0] >= '0' && text[0] <= '9' && strtoull(text, NULL, 10) < 1ULL << 60;
}

static struct result raise_in(const char *dir)
{
	static const char *const files[] = {"memory.max", "memory.limit_in_bytes", "pids.max", "cpu.max", "cpu.cfs_quota_us"};
	struct result r = blocked(ENOENT, "");
	for (size_t i = 0; i < sizeof files / sizeof files[0] && !r.through; i++)
		if (is_limit(dir, files[i]))
			r = open_below(dir, files[i]);
	return r;
}

/* Its own cgroup and all above that it sees; from the host, that of the audit's own guest. */
static struct result raise_limit(const struct hierarchy *h)
{
	char dir[PATH_SIZE];
	const char *limited = fact("cgroup");
	struct result r = limited ? raise_in(limited) : blocked(ENOENT, "");
	snprintf(dir, sizeof dir, "%s", strcmp(h->path, "/") == 0 || strstr(h->path, "/..") ? "" : h->path);
	while (r.err == ENOENT && !r.through) {
		r = raise_in(dir);
		char *last = strrchr(dir, '/');
		if (!last)
			break;
		*last = '\0';
	}
	return r.err == ENOENT ? blocked(0, "no limit in all that it sees") : r;
}

/* Being let write is not enough: a cgroup allows no more than the one above. Asked for is a device that no machine has, and
 * given back. */
static struct result allow_devices(const struct hierarchy *h)
{
	static const char all[] = "a *:* rwm", none[] = "c 4095:1048575 r";
	const char *dir = strcmp(h->path, "/") == 0 ? "" : h->path;
	struct result r = open_below(dir, "devices.allow");
	if (!r.through)
		return r;
	char list[32];
	read_below(dir, "devices.list", list, sizeof list);
	if (strncmp(list, all, sizeof all - 1) == 0)
		return r;
	r = write_below(dir, "devices.allow", none);
	return r.through ? write_below(dir, "devices.deny", none) : r;
}

static struct result release_agent(const struct attempt *a)
{
	(void)a;
	return everywhere(release_agent_of);
}

static struct result cgroup_top(const struct attempt *a)
{
	(void)a;
	return everywhere(join_top);
}

static struct result cgroup_limits(const struct attempt *a)
{
	(void)a;
	return everywhere(raise_limit);
}

static struct result cgroup_devices(const struct attempt *a)
{
	(void)a;
	return everywhere(allow_devices);
}

/* --- using up what all share --- */

/* Twice what the audit's own guest may have. */
enum { PROCESSES = 128, MEMORY = 32 << 20, DEPTH = 48 };

static struct result fork_many(const struct attempt *a)
{
	static pid_t children[PROCESSES];
	int count = 0, err = 0;
	(void)a;
	for (; count < PROCESSES; count++) {
		children[count] = fork();
		if (children[count] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
			pause();
			_exit(0);
		}
		if (children[count] < 0) {
			err = errno;
			break;
		}
	}
	for (int i = 0; i < count; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	return count == PROCESSES ? through("") : blocked(err, "the limit held");
}

static struct result use_memory(const struct attempt *a)
{
	(void)a;
	char *p = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return failed();
	/* Beyond a limit the kernel ends this process, which the parent reports. */
	for (size_t i = 0; i < MEMORY; i += 4096)
		((volatile char *)p)[i] = 1;
	return through("");
}

static struct result nest_cgroups(const struct attempt *a)
{
	struct hierarchy v2 = {.path = "/"};
	static struct hierarchy list[MOST_HIERARCHIES];
	char path[4096];
	int made = 0, err = 0;
	(void)a;
	int count = read_hierarchies(list);
	for (int i = 0; i < count; i++)
		if (list[i].controllers[0] == '\0')
			v2 = list[i];
	if (!own_mounts() || mount_hierarchy(&v2) < 0)
		return failed();
	size_t used = (size_t)snprintf(path, sizeof path, "%s%s", scratch(), strcmp(v2.path, "/") == 0 ? "" : v2.path), base = used;
	while (made < DEPTH && used + 8 < sizeof path) {
		used += (size_t)snprintf(path + used, sizeof path - used, "/audit");
		if (mkdir(path, 0755) < 0) {
			err = errno;
			path[used -= 6] = '\0';
			break;
		}
		made++;
	}
	for (; used > base; path[used -= 6] = '\0')
		(void)rmdir(path);
	return made == DEPTH ? through("") : blocked(err, "the limit held");
}

/* The kernel charges a user namespace's inotify instances, watches and namespaces to its owner. Where that is the host's root,
 * all guests and the host share one account, and any of them can empty it. */
static struct result shared_account(const struct attempt *a)
{
	uid_t owner = (uid_t)-1;
	(void)a;
	int fd = inotify_init1(IN_CLOEXEC), ns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ns < 0)
		return failed();
	int known = ioctl(ns, NS_GET_OWNER_UID, &owner);
	close(fd);
	close(ns);
	if (known < 0)
		return failed();
	/* The first user namespace: the host's root itself. Another's owner that is no id of ours is the host's. */
	bool first = fact_number("userns") != 0;
	struct stat st;
	first = first && stat("/proc/self/ns/user", &st) == 0 && (long)st.st_ino == fact_number("userns");
	return first || owner == 65534 ? through("") : blocked(0, "its own account");
}

#define CGROUP(ID, WHAT, CVE, RUN, CONTROL) {.id = ID, .what = WHAT, .cve = CVE, .control = CONTROL, .run = RUN}
#define EXHAUST(ID, WHAT, RUN, CONTROL) {.id = ID, .what = WHAT, .cve = "", .control = CONTROL, .run = RUN, .sandbox = true}

const struct attempt cgroup_attempts[] = {
	CGROUP("release-agent", "have a program run as the host's root when a cgroup empties", "CVE-2022-0492", release_agent,
	       "the host's root opens release_agent, where there is a v1 hierarchy"),
	CGROUP("cgroup-top", "leave its cgroups for the root of a hierarchy", "CVE-2023-25809", cgroup_top,
	       "the host's root opens cgroup.procs there"),
	CGROUP("cgroup-limits", "raise its own limits", "", cgroup_limits, "the host's root opens them for writing"),
	CGROUP("cgroup-devices", "allow itself all devices by the devices controller", "", cgroup_devices,
	       "the host's root opens devices.allow, where the controller is on v1"),
	CGROUP("shared-account", "use up the inotify instances of the host and all guests", "", shared_account,
	       "the host's root uses its own, which are all there are"),
	EXHAUST("exhaust-processes", "use up the host's process ids", fork_many, "without a limit of 64, 128 processes live"),
	EXHAUST("exhaust-memory", "use up the host's memory", use_memory, "without a limit of 12 MiB, 32 MiB are used"),
	EXHAUST("exhaust-cgroups", "nest cgroups until the host cannot remove them", nest_cgroups, "without a limit, 48 levels are made"),
	{0},
};
