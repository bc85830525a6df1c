/* inside.c - small loads that run alike on the bare host and in a guest. Static, so that it runs in any guest.
 *
 *   inside cpu|fork|create DIR|read DIR|fsync DIR SECONDS     operations a second
 *   inside serve ADDRESS PORT                                 echoes bytes (first byte 'e') or swallows them ('s')
 *   inside latency|throughput ADDRESS PORT SECONDS            round trips, or mebibytes, a second
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 4096, FILES = 256, CHUNK = 65536 };

static char chunk[CHUNK];
static volatile uint64_t sink;
static int peer = -1;
static const char *dir;

static _Noreturn void die(const char *step)
{
	fprintf(stderr, "inside: %s: %s\n", step, strerror(errno));
	_exit(1);
}

static double seconds(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
		die("clock");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void cpu_once(void)
{
	uint64_t x = sink + 88172645463325252ULL;
	for (int i = 0; i < 100000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	sink = x;
}

static void fork_once(void)
{
	char *const argv[] = {"inside", "nothing", NULL};
	char *const envp[] = {NULL};
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		execve("/proc/self/exe", argv, envp);
		_exit(127);
	}
	int status;
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		die("exec");
}

static void path_of(char *path, size_t size)
{
	static unsigned turn;
	snprintf(path, size, "%s/f%u", dir, turn++ % FILES);
}

static void write_file(bool sync)
{
	char path[512];
	path_of(path, sizeof path);
	if (!sync && unlink(path) < 0 && errno != ENOENT)
		die(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, chunk, FILE_BYTES) != FILE_BYTES || (sync && fsync(fd) < 0) || close(fd) < 0)
		die(path);
}

static void create_once(void)
{
	write_file(false);
}

static void fsync_once(void)
{
	write_file(true);
}

static void read_once(void)
{
	char path[512];
	path_of(path, sizeof path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, chunk, FILE_BYTES) != FILE_BYTES || close(fd) < 0)
		die(path);
}

static void latency_once(void)
{
	char c = 'x';
	if (write(peer, &c, 1) != 1 || read(peer, &c, 1) != 1)
		die("round trip");
}

static void throughput_once(void)
{
	for (int i = 0; i < 16; i++) /* 1 MiB */
		for (size_t done = 0; done < CHUNK;) {
			ssize_t n = write(peer, chunk + done, CHUNK - done);
			if (n <= 0)
				die("send");
			done += (size_t)n;
		}
}

static struct sockaddr_in address_of(const char *address, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		die(address);
	return a;
}

static void connect_to(const char *address, const char *port, char kind)
{
	struct sockaddr_in a = address_of(address, port);
	int one = 1;
	peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer < 0 || connect(peer, (struct sockaddr *)&a, sizeof a) < 0 ||
	    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || write(peer, &kind, 1) != 1)
		die("connect");
}

static _Noreturn void answer(int fd)
{
	char kind;
	int one = 1;
	if (read(fd, &kind, 1) != 1 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
		_exit(1);
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n <= 0)
			_exit(0);
		if (kind == 'e' && write(fd, chunk, (size_t)n) != n)
			_exit(1);
	}
}

static _Noreturn void serve(const char *address, const char *port)
{
	struct sockaddr_in a = address_of(address, port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	signal(SIGCHLD, SIG_IGN);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 16) < 0)
		die("listen");
	if (write(1, "ready\n", 6) != 6)
		die("stdout");
	for (;;) {
		int client = accept(fd, NULL, NULL);
		if (client < 0)
			die("accept");
		if (fork() == 0)
			answer(client);
		close(client);
	}
}

static int measure(void (*once)(void), double wanted)
{
	double since = seconds(), now;
	uint64_t count = 0;
	do {
		once();
		count++;
		now = seconds();
	} while (now - since < wanted);
	return printf("%.3f\n", (double)count / (now - since)) < 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "nothing") == 0)
		return 0;
	if (strcmp(what, "serve") == 0 && argc == 4)
		serve(argv[2], argv[3]);
	if (strcmp(what, "cpu") == 0 && argc == 3)
		return measure(cpu_once, atof(argv[2]));
	if (strcmp(what, "fork") == 0 && argc == 3)
		return measure(fork_once, atof(argv[2]));
	if (argc == 4) {
		dir = argv[2];
		if (strcmp(what, "create") == 0)
			return measure(create_once, atof(argv[3]));
		for (int i = 0; i < FILES; i++)
			create_once();
		if (strcmp(what, "read") == 0)
			return measure(read_once, atof(argv[3]));
		if (strcmp(what, "fsync") == 0)
			return measure(fsync_once, atof(argv[3]));
	}
	if (argc == 5) {
		bool echo = strcmp(what, "latency") == 0;
		connect_to(argv[2], argv[3], echo ? 'e' : 's');
		return measure(echo ? latency_once : throughput_once, atof(argv[4]));
	}
	return fputs("inside: unknown load\n", stderr), 2;
}
