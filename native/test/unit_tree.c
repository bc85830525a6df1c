/* unit_tree.c - copies of trees in passes: exact, whatever has changed in between. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <linux/magic.h>
#include <unistd.h>

#include "../clock.h"
#include "../tree_copy.h"
#include "../util.h"
#include "treegen.h"
#include "unit.h"

enum { TICK_MS = 16, MANY = 1500, DEPTH = 5000, CROWD = 3000 };

/* Anything is mounted over in our own mount namespace: a run that is killed leaves no directory behind. */
static const char dir[] = "/mnt";
static struct copy c;
static int src, dst;
static uint64_t seed = 1;
static int rounds = 60;

static void setup(void)
{
	expect(mkdir("src", 0755) == 0 && mkdir("dst", 0700) == 0);
	src = open("src", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dst = open("dst", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c = (struct copy){.src = -1, .dst = -1};
	expect(copy_open(&c, "src", "dst") == 0);
	c.granule = 10000000; /* what a clock tick needs */
}

static void teardown(void)
{
	copy_close(&c);
	close(src);
	close(dst);
	expect(remove_entry(AT_FDCWD, "src") == 0 && remove_entry(AT_FDCWD, "dst") == 0);
}

static bool exact(void)
{
	const char *what = difference(src, dst);
	if (what)
		printf("# %s\n", what);
	return !what;
}

static bool passes(bool sync)
{
	bool good = copy_pass(&c, sync) == 0;
	if (!good)
		printf("# %s: %s: %s\n", failure.step, failure.text, strerror(failure.err));
	return good;
}

static void random_changes_are_followed(void)
{
	struct chance chance = {seed};
	setup();
	for (int round = 0; round < rounds && !unit_broken; round++) {
		for (uint32_t changes = round == 0 ? MANY : 1 + draw(&chance, 12); changes > 0; changes--)
			mutate(&chance, src);
		if (round % 4) /* then most of the tree is settled */
			sleep_ms(TICK_MS);
		expect(passes(round % 3 > 0) && exact());
	}
	teardown();
}

static void a_quiet_pass_copies_nothing(void)
{
	struct chance chance = {2};
	setup();
	for (int i = 0; i < MANY; i++)
		mutate(&chance, src);
	sleep_ms(TICK_MS);
	expect(passes(true) && c.copied > 50 && passes(true) && c.copied == 0 && c.removed == 0 && exact());
	teardown();
}

/* The guest goes on while it is read; once it stands still, one pass makes it exact. */
static void a_tree_may_change_while_it_is_read(void)
{
	setup();
	pid_t guest = fork();
	if (guest == 0) {
		struct chance chance = {3};
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			mutate(&chance, src);
	}
	uint64_t end = clock_us() + 700000;
	for (int i = 0; clock_us() < end && !unit_broken; i++)
		expect(passes(i % 2 == 0));
	expect(kill(guest, SIGKILL) == 0 && waitpid(guest, NULL, 0) == guest);
	expect(passes(false) && exact());
	teardown();
}

/* A page that stays mapped and dirty is written to without a system call. */
static void mapped_writes_are_seen(void)
{
	struct statfs fs;
	setup();
	int fd = openat(src, "mapped", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	expect(fd >= 0 && ftruncate(fd, 8192) == 0 && fstatfs(fd, &fs) == 0);
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 1; i < 12 && page != MAP_FAILED && fs.f_type != TMPFS_MAGIC; i++) {
		page[i] = (char)i;
		sleep_ms(TICK_MS);
		expect(passes(i % 3 == 1) && exact());
		page[100 + i] = (char)i;
		expect(passes(false) && exact());
	}
	munmap(page, 8192);
	close(fd);
	teardown();
}

static void ids_move(void)
{
	static const unsigned char acl[] = {2, 0, 0, 0,	 1, 0, 6, 0,	255, 255, 255, 255, 2, 0, 4, 0, 0xe8, 0x03, 1, 0, 4, 0, 4, 0, 255, 255, 255, 255,
					    8, 0, 4, 0, 5, 0, 0, 0, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255};
	static const unsigned char cap[24] = {1, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
	unsigned char value[64];
	struct stat st;
	setup();
	c.shift = (struct shift){.from = 65536, .to = 655360, .count = 65536};
	int fd = openat(src, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	expect(fd >= 0 && fchown(fd, 65536, 131071) == 0 && fsetxattr(fd, "security.capability", cap, sizeof cap, 0) == 0);
	bool acls = fsetxattr(fd, "system.posix_acl_access", acl, sizeof acl, 0) == 0;
	close(fd);
	expect(symlinkat("x", src, "l") == 0 && fchownat(src, "l", 131072, 65535, AT_SYMLINK_NOFOLLOW) == 0);
	expect(passes(true) && fstatat(dst, "f", &st, 0) == 0 && st.st_uid == 655360 && st.st_gid == 720895);
	expect(fstatat(dst, "l", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == 131072 && st.st_gid == 65535);
	expect(getxattr("dst/f", "security.capability", value, sizeof value) == 24 && value[22] == 10 && memcmp(value, cap, 22) == 0);
	if (acls) /* user 66536 moves, group 5 stays */
		expect(getxattr("dst/f", "system.posix_acl_access", value, sizeof value) == sizeof acl && value[16] == 0xe8 && value[17] == 3 &&
		       value[18] == 10 && value[32] == 5);
	teardown();
}

/* Fuzzed: any length, any bytes. */
static void odd_attribute_values_are_left_alone(void)
{
	static const struct shift s = {.from = 0, .to = 7, .count = 1000};
	struct chance chance = {4};
	for (int i = 0; i < 20000; i++) {
		size_t len = draw(&chance, 40);
		unsigned char *value = malloc(len + 1);
		for (size_t j = 0; j < len; j++)
			value[j] = (unsigned char)(draw(&chance, 4) ? draw(&chance, 4) : draw(&chance, 256));
		meta_shift_value(&s, i % 2 ? "system.posix_acl_access" : "security.capability", value, len);
		free(value);
	}
	unsigned char v2[20] = {1, 0, 0, 2, 5}, was[20];
	memcpy(was, v2, sizeof v2);
	meta_shift_value(&s, "security.capability", v2, sizeof v2);
	expect(memcmp(was, v2, sizeof v2) == 0);
	expect(meta_keeps("trusted.overlay.opaque") && meta_keeps("trusted.overlay.overlay.origin") && !meta_keeps("trusted.overlay.nlink"));
	expect(meta_keeps("trusted.overlayx") && !meta_keeps("system.nfs4_acl") && !meta_keeps("btrfs.compression"));
}

static void deep_trees_are_copied_and_removed(void)
{
	static char name[256];
	memset(name, 'n', 255);
	setup();
	int at = dup(src);
	for (int i = 0; i < DEPTH; i++) {
		expect(mkdirat(at, name, 0755) == 0);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	expect(passes(true) && c.entries == DEPTH);
	expect(symlinkat("target", at, "leaf") == 0);
	close(at);
	expect(passes(true) && c.entries == DEPTH + 1);
	int there = dup(dst);
	for (int i = 0; i < DEPTH && there >= 0; i++) {
		int next = openat(there, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(there);
		there = next;
	}
	struct stat st;
	expect(fstatat(there, "leaf", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode));
	close(there);
	expect(remove_entry(src, name) == 0 && passes(true) && c.removed == 1 && exact());
	teardown();
}

static void crowded_directories_are_copied(void)
{
	char name[256];
	setup();
	for (int i = 0; i < CROWD; i++) {
		snprintf(name, sizeof name, "%d%0240d", i, 0);
		expect(mknodat(src, name, S_IFREG | 0644, 0) == 0);
	}
	sleep_ms(TICK_MS);
	expect(passes(true) && c.copied == CROWD + 1 && passes(true) && c.copied == 0);
	expect(unlinkat(src, name, 0) == 0 && passes(true) && c.removed == 1 && c.entries == CROWD - 1);
	teardown();
}

static void what_is_mounted_in_the_tree_stays_out(void)
{
	struct stat st;
	setup();
	expect(mkdirat(src, "m", 0755) == 0 && mount("none", "src/m", "tmpfs", 0, "size=64k") == 0);
	expect(mknodat(src, "m/inside", S_IFREG | 0644, 0) == 0 && passes(true) && c.entries == 0);
	expect(fstatat(dst, "m", &st, 0) < 0 && umount("src/m") == 0);
	teardown();
}

static void a_full_destination_is_an_error(void)
{
	setup();
	copy_close(&c);
	expect(mount("none", "dst", "tmpfs", 0, "size=256k") == 0);
	int fd = openat(src, "big", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	for (int i = 0; i < 100; i++)
		expect(write(fd, dir, sizeof dir) > 0 && lseek(fd, 8192, SEEK_CUR) > 0);
	close(fd);
	c = (struct copy){.src = -1, .dst = -1};
	expect(copy_open(&c, "src", "dst") == 0 && copy_pass(&c, true) == -1 && failure.err == ENOSPC);
	expect(strcmp(failure.step, "copy-data") == 0 && strstr(failure.text, "big"));
	copy_close(&c);
	expect(umount("dst") == 0);
	teardown();
}

/* A file system of our own in memory: ext4, or where loop devices are lacking the tmpfs itself. Goes with our mount
 * namespace. */
static bool enter_own_disk(void)
{
	if (mount("none", dir, "tmpfs", 0, "size=1g") < 0 || chdir(dir) < 0 || mkdir("disk", 0755) < 0)
		return false;
	if (system("truncate -s 900M image && mkfs.ext4 -qF -N 100000 image && mount -o loop image disk") != 0)
		puts("# on tmpfs: no ext4 on a loop device here");
	return chdir("disk") == 0;
}

/* unit_tree [SEED ROUNDS] */
int main(int argc, char **argv)
{
	if (argc == 3) {
		seed = strtoull(argv[1], NULL, 10);
		rounds = atoi(argv[2]);
	}
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		puts("ok unit_tree # SKIP needs root");
		return 0;
	}
	if (!enter_own_disk()) {
		puts("not ok unit_tree # no file system of its own on /mnt");
		return 1;
	}
	umask(0);
	run(random_changes_are_followed);
	run(a_quiet_pass_copies_nothing);
	run(a_tree_may_change_while_it_is_read);
	run(mapped_writes_are_seen);
	run(ids_move);
	run(odd_attribute_values_are_left_alone);
	run(deep_trees_are_copied_and_removed);
	run(crowded_directories_are_copied);
	run(what_is_mounted_in_the_tree_stays_out);
	run(a_full_destination_is_an_error);
	return unit_failures > 0;
}
