/* audit_prepare.c - masks are a courtesy: before it attacks, the attacker takes them off, in a mount namespace of its own, and
 * mounts proc and sysfs anew. Also the few looks that attempts share. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_COVERS = 256, MOST_STEPS = 64 };

static const char *scratch_dir;

bool own_mounts(void)
{
	/* The second line is what keeps everything below from the guest and the host. */
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

const char *scratch(void)
{
	return scratch_dir;
}

/* Any directory that hides nothing the attempts need. */
static void mount_scratch(void)
{
	static const char *const places[] = {"/mnt", "/media", "/srv", "/tmp"};
	const char *root = fact("root");
	for (size_t i = 0; i < sizeof places / sizeof places[0] && !scratch_dir; i++)
		if ((!root || strncmp(root, places[i], strlen(places[i])) != 0) &&
		    mount("berth-audit", places[i], "tmpfs", 0, "mode=0755,size=1m") == 0)
			scratch_dir = places[i];
}

/* Mount points below /proc and /sys, in the order of the table. */
static int read_covers(char points[][256])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	int count = 0;
	while (f && count < MOST_COVERS && fgets(line, sizeof line, f)) {
		char point[256];
		if (sscanf(line, "%*s %*s %*s %*s %255s", point) == 1 &&
		    (strncmp(point, "/proc/", 6) == 0 || strncmp(point, "/sys/", 5) == 0))
			strcpy(points[count++], point);
	}
	if (f)
		fclose(f);
	return count;
}

/* Last mounted, first off. What does not come off is no fault: the attempts will tell. */
static int uncover(void)
{
	static char points[MOST_COVERS][256];
	int count = read_covers(points), off = 0;
	for (int i = count - 1; i >= 0; i--)
		off += umount2(points[i], MNT_DETACH) == 0;
	return off;
}

bool prepare(char *words, size_t size)
{
	if (!own_mounts()) {
		snprintf(words, size, "as it finds things: %s", strerror(errno));
		return false;
	}
	int off = uncover();
	bool proc = mount("proc", "/proc", "proc", 0, NULL) == 0, sys = mount("sysfs", "/sys", "sysfs", 0, NULL) == 0;
	if (!sys)
		(void)mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL);
	mount_scratch();
	snprintf(words, size, "%d covers off, %s, %s", off, proc ? "proc mounted anew" : "proc as it was",
		 sys ? "sysfs mounted anew" : "sysfs as it was");
	return true;
}

bool holds_secret(int dirfd, const char *path)
{
	const char *secret = fact("secret");
	char buf[64];
	int fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, buf, sizeof buf - 1);
	close(fd);
	if (!secret || n <= 0)
		return false;
	buf[n] = '\0';
	return strcmp(buf, secret) == 0;
}

bool climbs_to_secret(int dirfd)
{
	const char *file = fact("file");
	int at = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < MOST_STEPS && at >= 0; i++) {
		int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
	}
	if (at < 0)
		return false;
	bool found = file && holds_secret(at, file + 1);
	close(at);
	return found;
}
