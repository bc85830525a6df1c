/* keeper_console.c - the console's output: to the ring (for clients) and to the log. Never blocks, never grows. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "keep.h"
#include "util.h"

enum { CHUNK = 4096, REOPEN_MS = 50, DRAIN_MAX = 1 << 20 };

/* A guest that floods its console is read so fast and no faster: its writers wait, and neither the host's disk nor a
 * processor is kept busy by it. No boot comes near. */
enum { BYTES_PER_SECOND = 1 << 20, BURST = 1 << 20 };

struct console console = {.log = -1, .credit = BURST};

static void charge(uint64_t bytes)
{
	uint64_t now = clock_us(), gained = (now - console.credited) / 1000 * BYTES_PER_SECOND / 1000;
	if (gained > 0)
		console.credited = now;
	console.credit = gained > BURST - console.credit ? BURST : console.credit + gained;
	console.credit -= bytes < console.credit ? bytes : console.credit;
	if (console.credit < CHUNK)
		console.read_at = now + 2ULL * CHUNK * 1000000 / BYTES_PER_SECOND;
}

static void open_log(const struct keeper *k)
{
	struct stat st;
	console.log = open(k->log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0600);
	if (console.log >= 0 && (fstat(console.log, &st) < 0 || !S_ISREG(st.st_mode)))
		close_fd(&console.log);
	console.log_size = console.log >= 0 ? (uint64_t)st.st_size : 0;
}

static void rotate_log(const struct keeper *k)
{
	char old[4096];
	int n = snprintf(old, sizeof old, "%s.1", k->log);
	close_fd(&console.log);
	if (n > 0 && (size_t)n < sizeof old)
		(void)rename(k->log, old);
	open_log(k);
}

/* A log that cannot be written (a full disk) costs the guest nothing: what is lost here is still in the ring. */
static void log_bytes(const struct keeper *k, const uint8_t *bytes, size_t n)
{
	if (!*k->log)
		return;
	if (console.log < 0)
		open_log(k);
	if (console.log >= 0 && k->log_limit > 0 && console.log_size + n > k->log_limit && console.log_size > 0)
		rotate_log(k);
	if (console.log >= 0 && write_all(console.log, bytes, n) == 0)
		console.log_size += n;
}

static void ring_bytes(const uint8_t *bytes, size_t n)
{
	size_t at = console.head % KEEPER_RING, first = n < KEEPER_RING - at ? n : KEEPER_RING - at;
	memcpy(console.ring + at, bytes, first);
	memcpy(console.ring, bytes + first, n - first);
	console.head += n;
}

/* 1: some; 0: nothing now; -1: hung up. */
static int read_some(struct keeper *k)
{
	uint8_t buf[CHUNK];
	ssize_t n = read(k->pty.master, buf, sizeof buf);
	if (n > 0) {
		ring_bytes(buf, (size_t)n);
		log_bytes(k, buf, (size_t)n);
		charge((uint64_t)n);
		return 1;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

void console_read(struct keeper *k)
{
	/* Every slave end is dead: a hangup (systemd's TTYVHangup, the end of a session's leader). */
	if (read_some(k) < 0)
		console.reopen_at = clock_us() + REOPEN_MS * 1000ULL;
}

void console_reopen(struct keeper *k, uint64_t now)
{
	console.reopen_at = devpts_reopen(&k->pty) < 0 ? now + REOPEN_MS * 1000ULL : 0;
}

void console_drain(struct keeper *k)
{
	for (int bytes = 0; k->pty.master >= 0 && bytes < DRAIN_MAX && read_some(k) > 0; bytes += CHUNK)
		;
}
