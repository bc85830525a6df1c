/* audit_canary.c - the other side: a process of the host with things that nobody else may reach, and a process that was started
 * as carelessly as can be, which is what the attempts about starting are held against. */
#include "audit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { SECRET_BYTES = 16, MOST_WORDS = 1024 };

static char secret[SECRET_BYTES * 2 + 1], name[40], file[256];

static int say(const char *what)
{
	fprintf(stderr, "berth-audit: canary: %s: %s\n", what, strerror(errno));
	return -1;
}

static int make_secret(void)
{
	unsigned char bytes[SECRET_BYTES];
	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		return say("random bytes");
	for (int i = 0; i < SECRET_BYTES; i++)
		snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* Takes the place of what an earlier one may have left. The fd stays open. */
static int write_secret(const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return say(path);
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, secret, strlen(secret)) != (ssize_t)strlen(secret))
		return say(path);
	return fd;
}

static int listen_on(int family, const void *address, socklen_t size)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 || bind(fd, address, size) < 0 || listen(fd, 64) < 0 ? say("socket") : fd;
}

static int make_sockets(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t size = sizeof in;
	int n = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "%s", name);
	int tcp = listen_on(AF_INET, &in, sizeof in);
	if (tcp < 0 || listen_on(AF_UNIX, &un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0)
		return -1;
	if (getsockname(tcp, (struct sockaddr *)&in, &size) < 0)
		return say("port");
	printf("port=%d\n", ntohs(in.sin_port));
	return 0;
}

static int make_memory(key_t key)
{
	int old = shmget(key, 0, 0);
	if (old >= 0)
		(void)shmctl(old, IPC_RMID, NULL);
	int id = shmget(key, sizeof secret, IPC_CREAT | IPC_EXCL | 0644);
	char *at = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
	if (at == (char *)-1)
		return say("shared memory");
	memcpy(at, secret, sizeof secret);
	printf("shm=%d\n", (int)key);
	return id;
}

/* A kernel without message queues or keys has nothing to take from it. */
static void make_named(void)
{
	char path[80];
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 16};
	snprintf(path, sizeof path, "/%s", name);
	mq_unlink(path);
	mqd_t queue = mq_open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644, &attr);
	(void)queue;
	long session = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	long key = session < 0 ? -1 : syscall(SYS_add_key, "user", name, secret, strlen(secret), KEY_SPEC_SESSION_KEYRING);
	/* KEY_USR_VIEW, KEY_USR_READ beside the possessor's own: whoever has this user id on the host reads it. */
	if (key >= 0 && syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f030000) == 0)
		printf("key=%ld\n", key);
}

static void say_inode(const char *key, const char *path)
{
	struct stat st;
	if (stat(path, &st) == 0)
		printf("%s=%lu\n", key, (unsigned long)st.st_ino);
}

static void say_mounts(void)
{
	char line[4096];
	struct stat st;
	int mnt = host_mount("binfmt_misc");
	if (mnt >= 0 && fstat(mnt, &st) == 0)
		printf("binfmt=%lu\n", (unsigned long)st.st_dev);
	FILE *f = fopen("/proc/self/mountinfo", "re");
	printf("peers=,");
	while (f && fgets(line, sizeof line, f)) {
		unsigned group;
		const char *at = strstr(line, " shared:");
		if (at && sscanf(at, " shared:%u", &group) == 1)
			printf("%u,", group);
	}
	printf("\n");
	if (f)
		fclose(f);
}

int canary_main(int argc, char **argv)
{
	(void)argc;
	char shm_file[80], path[80], byte;
	snprintf(name, sizeof name, "berth-audit-%.20s", argv[1]);
	snprintf(file, sizeof file, "%s/secret", argv[2]);
	snprintf(shm_file, sizeof shm_file, "/dev/shm/%s", name);
	snprintf(path, sizeof path, "/%s", name);
	/* A number of the instance's own, far from those that ftok(3) makes for others. */
	key_t key = (key_t)(0x62000000 | (strtoul(argv[1], NULL, 16) & 0xffffff));
	umask(022);
	if (prctl(PR_SET_NAME, "berth-canary", 0, 0, 0) < 0 || make_secret() < 0)
		return 1;
	int fd = write_secret(file);
	if (fd < 0 || write_secret(shm_file) < 0 || make_sockets() < 0)
		return 1;
	int shm = make_memory(key);
	make_named();
	say_mounts();
	say_inode("uts", "/proc/self/ns/uts");
	say_inode("userns", "/proc/self/ns/user");
	printf("secret=%s\nname=%s\nfile=%s\npid=%d\ncomm=berth-canary\nat=%lu\nfd=%d\n\n", secret, name, file, (int)getpid(),
	       (unsigned long)(uintptr_t)secret, fd);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	unlink(file);
	unlink(shm_file);
	mq_unlink(path);
	if (shm >= 0)
		(void)shmctl(shm, IPC_RMID, NULL);
	return 0;
}

/* An open descriptor of the host's root directory, and capabilities that survive an exec. */
int sloppy_main(int argc, char **argv)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];
	int fd = open("/", O_PATH | O_DIRECTORY);
	if (fd < 0 || syscall(SYS_capget, &head, sets) < 0)
		return say("sloppy");
	sets[0].inheritable = sets[0].permitted;
	sets[1].inheritable = sets[1].permitted;
	if (syscall(SYS_capset, &head, sets) < 0)
		return say("sloppy");
	static char *args[MOST_WORDS + 1] = {(char *)(uintptr_t)"berth-audit", (char *)(uintptr_t)"attack"};
	if (argc >= MOST_WORDS) {
		errno = E2BIG;
		return say("sloppy");
	}
	memcpy(args + 2, argv + 1, (size_t)(argc - 1) * sizeof *argv);
	execv("/proc/self/exe", args);
	return say("sloppy");
}
