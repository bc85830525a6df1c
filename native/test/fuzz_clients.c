/* fuzz_clients.c - keeper_clients.c: what a client sends comes out as the protocol says, however its bytes are cut up and
 * however slowly the guest takes them. The calls that it makes on sockets and the pty are replaced. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../keep.h"
#include "fuzz.h"

enum { CLIENT_FD = 1 << 29, MASTER_FD };

/* What a client has brought about. */
struct effect {
	uint8_t typed[FUZZ_MAX];
	size_t typed_len;
	uint64_t sizes; /* hash of all window sizes */
	uint8_t sent[256];
	size_t sent_len;
	bool dropped;
};

static struct effect *now;
static const uint8_t *input, *input_end;
static size_t step;
static unsigned turn;
static bool slow; /* the guest and the client take little at a time */

struct console console;

static void note_size(struct effect *e, unsigned rows, unsigned columns)
{
	e->sizes = (e->sizes ^ (rows << 16 | columns)) * 1099511628211ULL + 1;
}

int devpts_resize(const struct devpts *pty, uint16_t rows, uint16_t columns)
{
	if (pty->master != MASTER_FD)
		abort();
	note_size(now, rows, columns);
	return 0;
}

static ssize_t fuzz_recv(int fd, void *buf, size_t room, int flags)
{
	size_t n = (size_t)(input_end - input);
	if (fd != CLIENT_FD || room == 0 || flags != 0)
		abort();
	n = n < step ? n : step;
	n = n < room ? n : room;
	memcpy(buf, input, n);
	input += n;
	return (ssize_t)n;
}

static ssize_t take(uint8_t *out, size_t *len, size_t most, const void *buf, size_t n)
{
	if (slow && ++turn % 3 == 0) {
		errno = EAGAIN;
		return -1;
	}
	n = slow && n > 5 ? 5 : n;
	if (n > most - *len)
		abort();
	memcpy(out + *len, buf, n);
	*len += n;
	return (ssize_t)n;
}

static ssize_t fuzz_write(int fd, const void *buf, size_t n)
{
	if (fd != MASTER_FD || n == 0)
		abort();
	return take(now->typed, &now->typed_len, sizeof now->typed, buf, n);
}

static ssize_t fuzz_send(int fd, const void *buf, size_t n, int flags)
{
	if (fd != CLIENT_FD || flags != MSG_NOSIGNAL)
		abort();
	return take(now->sent, &now->sent_len, sizeof now->sent, buf, n);
}

static void fuzz_close(int *fd)
{
	*fd = -1;
}

#define recv fuzz_recv
#define send fuzz_send
#define write fuzz_write
#define close_fd fuzz_close
#include "../keeper_clients.c"
#undef close_fd

static void clear(struct effect *e)
{
	e->typed_len = e->sent_len = 0;
	e->sizes = 0;
	e->dropped = false;
}

static void feed(struct effect *out, const uint8_t *data, size_t size, size_t pieces, bool slowly)
{
	struct keeper k = KEEPER_INIT;
	struct client *c = &clients[0];
	clear(out);
	now = out;
	input = data;
	input_end = data + size;
	step = pieces;
	slow = slowly;
	turn = 0;
	k.pty.master = MASTER_FD;
	clients_init();
	*c = (struct client){.fd = CLIENT_FD};
	for (size_t rounds = 0; c->fd >= 0; rounds++) {
		bool more = input < input_end;
		if (!more && !clients_stuck() && !has_output(c))
			break;
		if (rounds > 4 * size + 64)
			abort(); /* it does not get on */
		if (clients_stuck())
			clients_unstick(&k);
		short events = client_events(c);
		if (!more)
			events &= (short)~POLLIN;
		else if (!events)
			continue; /* it waits for the guest */
		client_ready(&k, c, events);
	}
	out->dropped = c->fd < 0;
}

/* The protocol as keeper.h has it, with all bytes at hand. */
static void expect(struct effect *e, const uint8_t *p, size_t size)
{
	const uint8_t *end = p + size;
	clear(e);
	if (size < 8)
		return;
	bool takes_input = p[4] == KEEPER_CONSOLE;
	if (memcmp(p, "BKP1", 4) != 0 || (p[4] != KEEPER_CONSOLE && p[4] != KEEPER_WAIT) || p[5] || p[6] || p[7]) {
		e->dropped = true;
		return;
	}
	if (takes_input) {
		size_t n = console.head;
		memcpy(e->sent, (uint8_t[]){FRAME_DATA, 0, (uint8_t)n, 0}, 4);
		memcpy(e->sent + 4, console.ring, n);
		e->sent_len = 4 + n;
	}
	for (p += 8; end - p >= 4;) {
		unsigned type = p[0];
		size_t len = p[2] | (size_t)p[3] << 8, have;
		p += 4;
		have = (size_t)(end - p) < len ? (size_t)(end - p) : len;
		if (type == FRAME_DATA && takes_input) {
			memcpy(e->typed + e->typed_len, p, have);
			e->typed_len += have;
		} else if (type == FRAME_WINSIZE && len == 4 && have == 4) {
			note_size(e, (unsigned)p[0] | (unsigned)p[1] << 8, (unsigned)p[2] | (unsigned)p[3] << 8);
		}
		p += have;
	}
}

static void compare(const struct effect *a, const struct effect *b)
{
	if (a->dropped != b->dropped || a->sizes != b->sizes || a->typed_len != b->typed_len || a->sent_len != b->sent_len ||
	    memcmp(a->typed, b->typed, a->typed_len) != 0 || memcmp(a->sent, b->sent, a->sent_len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct effect wanted, got;
	if (size == 0 || size > FUZZ_MAX)
		return 0;
	memcpy(console.ring, "login: ", 7);
	console.head = 7;
	expect(&wanted, data, size);
	const size_t pieces[] = {size, 1, 1 + data[size - 1] % 11U};
	for (size_t i = 0; i < 3; i++) {
		feed(&got, data, size, pieces[i], i != 1);
		compare(&wanted, &got);
	}
	return 0;
}

size_t fuzz_seed(size_t i, uint8_t *out)
{
	static const uint8_t typing[] = {'B', 'K', 'P', '1', KEEPER_CONSOLE, 0, 0, 0, FRAME_WINSIZE, 0, 4, 0, 24, 0, 80, 0,
					 FRAME_DATA, 0, 8, 0, 'p', 'o', 'w', 'e', 'r', 'o', 'f', 'f', FRAME_DATA, 0, 1, 0, '\n'};
	static const uint8_t waiting[] = {'B', 'K', 'P', '1', KEEPER_WAIT, 0, 0, 0, FRAME_DATA, 0, 2, 0, 'h', 'i'};
	static const uint8_t odd[] = {'B', 'K', 'P', '1', KEEPER_CONSOLE, 0, 0, 0, FRAME_WINSIZE, 0, 8, 0, 1, 0, 2, 0, 3, 0, 4, 0,
				      99, 0, 2, 0, 1, 2, FRAME_WINSIZE, 0, 4, 0, 50, 0, 132, 0};
	static const struct seed seeds[] = {{typing, sizeof typing}, {waiting, sizeof waiting}, {odd, sizeof odd}};
	if (i != 3)
		return fuzz_seed_of(seeds, 3, i, out);
	/* More than the keeper's buffer holds. */
	memcpy(out, (uint8_t[]){'B', 'K', 'P', '1', KEEPER_CONSOLE, 0, 0, 0, FRAME_DATA, 0, 1200 & 255, 1200 >> 8}, 12);
	memset(out + 12, 'x', 1200);
	return 12 + 1200;
}
