/* tar_gzip.c - gzip whose blocks are stored as they are. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tar.h"
#include "util.h"

/* Magic, method, no flags, a time that says who made it, no hints, operating system unknown. */
static const uint8_t header[] = {0x1f, 0x8b, 8, 0, 'b', 'r', 't', 'h', 0, 255};

static uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, size_t size)
{
	static uint32_t table[256];
	for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320U ^ (c >> 1) : c >> 1;
		table[i] = c;
	}
	crc = ~crc;
	for (size_t i = 0; i < size; i++)
		crc = table[(crc ^ bytes[i]) & 255] ^ (crc >> 8);
	return ~crc;
}

static void little(uint8_t *at, uint32_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static int flush(struct gzip_out *out, bool last)
{
	uint8_t head[5] = {last};
	little(head + 1, out->used, 2);
	little(head + 3, ~out->used, 2);
	if (write_all(out->fd, head, sizeof head) < 0 || write_all(out->fd, out->data, out->used) < 0)
		return fail("tar", "write");
	out->crc = crc32_of(out->crc, out->data, out->used);
	out->size += out->used;
	out->used = 0;
	return 0;
}

int gzip_begin(struct gzip_out *out, int fd)
{
	out->fd = fd;
	out->crc = out->size = out->used = 0;
	return write_all(fd, header, sizeof header) < 0 ? fail("tar", "write") : 0;
}

int gzip_put(struct gzip_out *out, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	while (size > 0) {
		if (out->used == STORED_MAX && flush(out, false) < 0)
			return -1;
		size_t n = size < STORED_MAX - out->used ? size : STORED_MAX - out->used;
		memcpy(out->data + out->used, from, n);
		out->used += (uint32_t)n;
		from += n;
		size -= n;
	}
	return 0;
}

int gzip_end(struct gzip_out *out)
{
	uint8_t tail[8];
	if (flush(out, true) < 0)
		return -1;
	little(tail, out->crc, 4);
	little(tail + 4, out->size, 4);
	return write_all(out->fd, tail, sizeof tail) < 0 ? fail("tar", "write") : 0;
}

static int read_exactly(int fd, uint8_t *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, bytes + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? fail("tar", "read") : fail_with(EPROTO, "tar", "the archive is cut short");
		done += (size_t)n;
	}
	return 0;
}

int gzip_is_ours(struct gzip_in *in, int fd)
{
	uint8_t found[sizeof header] = {0};
	*in = (struct gzip_in){.fd = fd};
	if (pread(fd, found, sizeof found, 0) == sizeof found && memcmp(found, header, sizeof header) == 0 &&
	    lseek(fd, sizeof header, SEEK_SET) == sizeof header)
		return 1;
	(void)lseek(fd, 0, SEEK_SET);
	return 0;
}

static int next_block(struct gzip_in *in)
{
	uint8_t head[5];
	if (in->last)
		return fail_with(EPROTO, "tar", "the archive is cut short");
	if (read_exactly(in->fd, head, sizeof head) < 0)
		return -1;
	in->left = (uint32_t)head[1] | (uint32_t)head[2] << 8;
	in->last = head[0] == 1;
	if (head[0] > 1 || (((uint32_t)head[3] | (uint32_t)head[4] << 8) ^ in->left) != 0xffff)
		return fail_with(EPROTO, "tar", "the archive is damaged");
	return 0;
}

int gzip_get(struct gzip_in *in, void *bytes, size_t size)
{
	uint8_t *to = bytes;
	while (size > 0) {
		if (in->left == 0) {
			if (next_block(in) < 0)
				return -1;
			continue;
		}
		size_t n = size < in->left ? size : in->left;
		if (read_exactly(in->fd, to, n) < 0)
			return -1;
		to += n;
		size -= n;
		in->left -= (uint32_t)n;
	}
	return 0;
}
