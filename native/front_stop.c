/* front_stop.c - `berth stop --kill NAME` without berth-cli: notes that the guest should not run, kills its init, and leaves
 * to its keeper what a keeper releases of a guest that ended by itself. What is not plain is left to berth-cli. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "front.h"
#include "keeper.h"
#include "sys.h"
#include "util.h"

/* As src/container/stop.ts has it: after a kill the kernel needs no more to end every process of a guest. */
enum { STATE_MAX = 65536, END_MS = 15000, GONE_MS = 2000 };

static const char runs[] = "\n  \"shouldRun\": true,\n", stands[] = "\n  \"shouldRun\": false,\n";

/* Nothing is under way, and there is nothing that only berth-cli releases. */
static bool is_plain(const struct front_paths *p, int home)
{
	static const char *const records[] = {"adopted", "volumes", "apparmor", "held"};
	char path[PATH_MAX];
	bool plain = faccessat(home, "intent.json", F_OK, 0) < 0;
	for (size_t i = 0; i < sizeof records / sizeof records[0] && plain; i++)
		plain = front_join(path, p->rundir, records[i]) && access(path, F_OK) < 0;
	return plain;
}

/* As JSON.stringify writes it: the line is there once, since no text holds a bare newline. */
static bool note_state(int home)
{
	static char before[STATE_MAX], after[STATE_MAX + 1];
	ssize_t size = read_file_at(home, "state.json", before, sizeof before);
	if (size <= 0 || size >= STATE_MAX - 1)
		return false;
	char *at = strstr(before, runs);
	if (!at)
		return strstr(before, stands) != NULL;
	int n = snprintf(after, sizeof after, "%.*s%s%s", (int)(at - before), before, stands, at + sizeof runs - 1);
	return n > 0 && (size_t)n < sizeof after && replace_file_at(home, "state.json", after, 0600) == 0;
}

/* The keeper's socket, asked for the guest's end; by its directory, whose path may be too long for an address. */
static int watch_keeper(const char *rundir)
{
	static const unsigned char hello[8] = {'B', 'K', 'P', '1', KEEPER_WAIT};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int dir = open(rundir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (dir < 0 || sock < 0)
		return -1;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/keeper.sock", dir);
	if (connect(sock, (const struct sockaddr *)&address, sizeof address) < 0 || write_all(sock, hello, sizeof hello) < 0)
		return -1;
	return take_fd(&sock);
}

/* Exactly size bytes before the deadline. */
static bool receive(int sock, void *out, size_t size, uint64_t deadline)
{
	for (size_t used = 0; used < size;) {
		uint64_t now = clock_us();
		struct pollfd ready = {.fd = sock, .events = POLLIN};
		if (now >= deadline || (poll(&ready, 1, (int)((deadline - now) / 1000) + 1) < 0 && errno != EINTR))
			return false;
		ssize_t n = ready.revents ? recv(sock, (char *)out + used, size - used, MSG_DONTWAIT) : 0;
		if (ready.revents && n <= 0)
			return false;
		used += (size_t)n;
	}
	return true;
}

/* Whether the keeper says it within that time. */
static bool hear(int sock, enum keeper_frame wanted, uint64_t ms)
{
	uint64_t deadline = clock_us() + ms * 1000;
	unsigned char head[4], payload[UINT16_MAX];
	while (receive(sock, head, sizeof head, deadline)) {
		size_t length = (size_t)head[2] | (size_t)head[3] << 8;
		if (!receive(sock, payload, length, deadline))
			return false;
		if (head[0] == wanted)
			return true;
	}
	return false;
}

/* The pidfd first, then the look: so it is this process that the record means. Gives the pidfd. */
static int kill_init(const struct front_guest *g)
{
	cleanup_fd int pidfd = sys_pidfd_open((pid_t)g->pid);
	bool killed = pidfd >= 0 && process_starttime(g->pid) == g->ticks && sys_pidfd_send_signal(pidfd, SIGKILL) == 0;
	return killed ? take_fd(&pidfd) : -1;
}

/* Whether it ends within that time: what a keeper that is lost, or has no room for us, does not say. */
static bool ends(int pidfd, uint64_t ms)
{
	uint64_t deadline = clock_us() + ms * 1000;
	for (uint64_t now = clock_us(); now < deadline; now = clock_us()) {
		struct pollfd gone = {.fd = pidfd, .events = POLLIN};
		int n = poll(&gone, 1, (int)((deadline - now) / 1000) + 1);
		if (n > 0 || (n < 0 && errno != EINTR))
			return n > 0;
	}
	return false;
}

/* The lock is held until the guest has ended: who waits for it then finds a stopped container, whether the keeper or he
 * himself removes the rest. */
static int kill_guest(const struct front_paths *p, const char *name, int *lock)
{
	char boot[64];
	struct front_guest guest;
	cleanup_fd int home = open(p->home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home < 0 || !is_plain(p, home) || read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, sizeof boot) < 0 ||
	    !front_find_guest(p->rundir, boot, &guest) || !guest.running || front_is_frozen(p->rundir))
		return -1;
	cleanup_fd int sock = watch_keeper(p->rundir);
	if (sock < 0 || !note_state(home))
		return -1;
	cleanup_fd int init = kill_init(&guest);
	if (init < 0 || (!hear(sock, FRAME_EXIT, END_MS) && !ends(init, END_MS)))
		return -1;
	close_fd(lock);
	/* Gone, and then itself, and with it its hold on the lock. */
	if (hear(sock, FRAME_GONE, GONE_MS))
		(void)hear(sock, FRAME_GONE, GONE_MS);
	printf("%s: stopped (killed)\n", name);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool is_kill(const char *word)
{
	return strcmp(word, "--kill") == 0 || strcmp(word, "-k") == 0;
}

int front_stop(char *const words[2])
{
	static struct front_paths paths;
	char command[80];
	const char *name = is_kill(words[0]) ? words[1] : words[0];
	if (!(is_kill(words[0]) || is_kill(words[1])) || !front_is_name(name) || !front_may() || !front_paths(&paths, name))
		return -1;
	snprintf(command, sizeof command, "stop %s", words[0]);
	cleanup_fd int lock = front_lock(&paths, name, command);
	return lock < 0 ? -1 : kill_guest(&paths, name, &lock);
}
