/* keeper_clients.c - who looks at the console or waits for the end. Each has a small buffer of its own and a place in
 * the ring; one that is too slow misses what the ring has forgotten, and slows down nobody. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "keep.h"
#include "util.h"

enum { HELLO = 8, HEAD = 4 };

struct client clients[KEEPER_CLIENTS];
static char exit_json[KEEPER_OUT];
static bool gone;

void clients_init(void)
{
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		clients[i].fd = -1;
}

static void drop(struct client *c)
{
	close_fd(&c->fd);
	c->stuck = false;
}

void clients_accept(struct keeper *k)
{
	int fd = accept4(k->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	for (int i = 0; i < KEEPER_CLIENTS; i++) {
		if (clients[i].fd < 0) {
			clients[i] = (struct client){.fd = fd};
			return;
		}
	}
	close(fd);
}

static void make_frame(struct client *c, uint8_t type, const void *payload, size_t n)
{
	c->outbuf[0] = type;
	c->outbuf[1] = 0;
	c->outbuf[2] = (uint8_t)(n & 0xff);
	c->outbuf[3] = (uint8_t)(n >> 8);
	if (n > 0)
		memcpy(c->outbuf + HEAD, payload, n);
	c->out = (uint16_t)(HEAD + n);
	c->sent = 0;
}

/* The next frame for a client whose last one is sent. False when there is none. */
static bool next_frame(struct client *c)
{
	if (c->op == KEEPER_CONSOLE && c->pos < console.head) {
		if (console.head - c->pos > KEEPER_RING)
			c->pos = console.head - KEEPER_RING;
		size_t at = c->pos % KEEPER_RING, n = console.head - c->pos;
		if (n > KEEPER_RING - at)
			n = KEEPER_RING - at;
		if (n > KEEPER_OUT)
			n = KEEPER_OUT;
		make_frame(c, FRAME_DATA, console.ring + at, n);
		c->pos += n;
	} else if (c->op && *exit_json && !c->said_exit) {
		make_frame(c, FRAME_EXIT, exit_json, strlen(exit_json));
		c->said_exit = true;
	} else if (c->op && gone && !c->said_gone) {
		make_frame(c, FRAME_GONE, NULL, 0);
		c->said_gone = true;
	} else {
		return false;
	}
	return true;
}

static bool has_output(const struct client *c)
{
	return c->sent < c->out || (c->op == KEEPER_CONSOLE && c->pos < console.head) || (c->op && *exit_json && !c->said_exit) ||
	       (c->op && gone && !c->said_gone);
}

static void send_frames(struct client *c)
{
	while (c->sent < c->out || next_frame(c)) {
		ssize_t n = send(c->fd, c->outbuf + c->sent, (size_t)(c->out - c->sent), MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			drop(c);
			return;
		}
		c->sent = (uint16_t)(c->sent + n);
	}
}

static void consume(struct client *c, size_t n)
{
	memmove(c->inbuf, c->inbuf + n, c->in - n);
	c->in = (uint16_t)(c->in - n);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static bool hello(struct client *c)
{
	if (c->in < HELLO)
		return false;
	c->op = (uint32_t)get16(c->inbuf + 4) | (uint32_t)get16(c->inbuf + 6) << 16;
	if (memcmp(c->inbuf, "BKP1", 4) != 0 || (c->op != KEEPER_CONSOLE && c->op != KEEPER_WAIT)) {
		drop(c);
		return false;
	}
	c->pos = console.head > KEEPER_RING ? console.head - KEEPER_RING : 0;
	consume(c, HELLO);
	return true;
}

/* Hands on payload of the frame being received. False: more must come in, or the guest must take some first. */
static bool payload(struct keeper *k, struct client *c)
{
	size_t n = c->in < c->left ? c->in : c->left;
	if (c->type == FRAME_WINSIZE) {
		if (n < 4)
			return false;
		(void)devpts_resize(&k->pty, get16(c->inbuf), get16(c->inbuf + 2));
	} else if (c->type == FRAME_DATA && c->op == KEEPER_CONSOLE && k->pty.master >= 0) {
		if (n == 0)
			return false;
		ssize_t written = write(k->pty.master, c->inbuf, n);
		if (written <= 0) {
			c->stuck = true;
			return false;
		}
		n = (size_t)written;
	}
	if (n == 0)
		return false;
	consume(c, n);
	c->left = (uint16_t)(c->left - n);
	return true;
}

static void parse(struct keeper *k, struct client *c)
{
	c->stuck = false;
	if (c->op == 0 && !hello(c))
		return;
	for (;;) {
		if (c->left > 0) {
			if (!payload(k, c))
				return;
			continue;
		}
		if (c->in < HEAD)
			return;
		c->type = c->inbuf[0];
		c->left = get16(c->inbuf + 2);
		if (c->type == FRAME_WINSIZE && c->left != 4)
			c->type = 0; /* of a wrong length: ignored like an unknown type, though its last bytes may come alone */
		consume(c, HEAD);
	}
}

short client_events(const struct client *c)
{
	return (short)((c->stuck || c->in == sizeof c->inbuf ? 0 : POLLIN) | (has_output(c) ? POLLOUT : 0));
}

void client_ready(struct keeper *k, struct client *c, short revents)
{
	if (revents & POLLIN && !c->stuck && c->in < sizeof c->inbuf) {
		ssize_t n = recv(c->fd, c->inbuf + c->in, sizeof c->inbuf - c->in, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			drop(c);
			return;
		}
		if (n > 0) {
			c->in = (uint16_t)(c->in + n);
			parse(k, c);
		}
	} else if (revents & (POLLERR | POLLHUP | POLLNVAL)) {
		drop(c);
		return;
	}
	if (c->fd >= 0)
		send_frames(c);
}

bool clients_stuck(void)
{
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		if (clients[i].fd >= 0 && clients[i].stuck)
			return true;
	return false;
}

void clients_unstick(struct keeper *k)
{
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		if (clients[i].fd >= 0 && clients[i].stuck)
			parse(k, &clients[i]);
}

void clients_say_exit(const char *json)
{
	snprintf(exit_json, sizeof exit_json, "%s", json);
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		if (clients[i].fd >= 0)
			send_frames(&clients[i]);
}

void clients_say_gone(void)
{
	gone = true;
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		if (clients[i].fd >= 0)
			send_frames(&clients[i]);
}

void clients_flush(struct keeper *k, int ms)
{
	for (uint64_t deadline = clock_us() + (uint64_t)ms * 1000; clock_us() < deadline;) {
		struct pollfd fds[KEEPER_CLIENTS];
		bool left = false;
		for (int i = 0; i < KEEPER_CLIENTS; i++) {
			bool has = clients[i].fd >= 0 && has_output(&clients[i]);
			fds[i] = (struct pollfd){has ? clients[i].fd : -1, POLLOUT, 0};
			left = left || has;
		}
		if (!left)
			return;
		if (poll(fds, KEEPER_CLIENTS, 20) < 0 && errno != EINTR)
			return;
		for (int i = 0; i < KEEPER_CLIENTS; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				client_ready(k, &clients[i], fds[i].revents);
	}
}
