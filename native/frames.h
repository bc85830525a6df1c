/* frames.h - takes apart the frames of keeper.h as they trickle in. Holds no payload: pieces point into what was fed.
 * Foreign bytes; fuzzed by test/fuzz_frames.c. */
#ifndef BERTH_FRAMES_H
#define BERTH_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frames {
	uint8_t head[4];
	uint8_t have;  /* bytes of head */
	uint16_t left; /* payload still to come */
};

struct piece {
	uint8_t type;
	const uint8_t *data;
	size_t len;
	bool last; /* of its frame */
};

/* Takes bytes from *data on and moves it forward. Returns 1 with a piece, 0 when all is used up, -1 when this is no frame. */
static inline int frames_next(struct frames *f, const uint8_t **data, const uint8_t *end, struct piece *out)
{
	if (f->have == sizeof f->head && f->left == 0)
		f->have = 0;
	bool fresh = f->have < sizeof f->head;
	while (f->have < sizeof f->head) {
		if (*data == end)
			return 0;
		f->head[f->have++] = *(*data)++;
	}
	if (fresh) {
		if (f->head[1] != 0)
			return -1;
		f->left = (uint16_t)(f->head[2] | f->head[3] << 8);
	}
	size_t len = (size_t)(end - *data) < f->left ? (size_t)(end - *data) : f->left;
	if (len == 0 && f->left > 0)
		return 0;
	*out = (struct piece){.type = f->head[0], .data = *data, .len = len, .last = len == f->left};
	*data += len;
	f->left = (uint16_t)(f->left - len);
	return 1;
}

#endif
