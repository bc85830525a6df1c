/* floor.c - what the kernel alone asks for a container: clone3 with the namespaces that a guest of berth has, id maps, an
 * overlay, pivot_root, exec. No cgroups, network, devices, masks or confinement: nobody can start a guest faster than this.
 *
 *   floor LOWER UPPER WORK MOUNT BASE
 *
 * Each line on standard input asks for one start; the answer is its microseconds, from before clone3 until exec is done.
 * UPPER, WORK and MOUNT belong to BASE, the first of 65536 host ids that are 0 and up inside. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void die(const char *step)
{
	fprintf(stderr, "floor: %s: %s\n", step, strerror(errno));
	_exit(1);
}

static uint64_t clock_us(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
		die("clock");
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void write_map(pid_t pid, const char *which, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, which);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0)
		die(path);
}

static _Noreturn void child(char *const *dirs, int go)
{
	char options[4096], c;
	char *const argv[] = {"true", NULL};
	char *const envp[] = {NULL};
	if (read(go, &c, 1) != 1)
		die("go");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		die("ids");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die("private");
	int n = snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", dirs[0], dirs[1], dirs[2]);
	if (n < 0 || (size_t)n >= sizeof options || mount("overlay", dirs[3], "overlay", 0, options) < 0)
		die("overlay");
	if (chdir(dirs[3]) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		die("pivot_root");
	execve("/bin/true", argv, envp);
	die("exec");
}

static uint64_t start(char *const *dirs, const char *map)
{
	int go[2], done[2];
	char c = 'g';
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(done, O_CLOEXEC) < 0)
		die("pipe");
	uint64_t since = clock_us();
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP,
		.exit_signal = SIGCHLD,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid < 0)
		die("clone3");
	if (pid == 0)
		child(dirs, go[0]);
	close(done[1]);
	write_map(pid, "uid_map", map);
	write_map(pid, "gid_map", map);
	/* The child's end closes as it execs. */
	if (write(go[1], &c, 1) != 1 || read(done[0], &c, 1) != 0)
		die("child");
	uint64_t took = clock_us() - since;
	int status;
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		die("/bin/true");
	close(go[0]);
	close(go[1]);
	close(done[0]);
	return took;
}

int main(int argc, char **argv)
{
	char line[16], map[64];
	if (argc != 6)
		return fputs("usage: floor LOWER UPPER WORK MOUNT BASE\n", stderr), 2;
	snprintf(map, sizeof map, "0 %s 65536", argv[5]);
	while (fgets(line, sizeof line, stdin))
		if (printf("%llu\n", (unsigned long long)start(argv + 1, map)) < 0 || fflush(stdout) != 0)
			die("stdout");
	return 0;
}
