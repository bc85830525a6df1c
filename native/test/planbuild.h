/* planbuild.h - writes plans for tests. */
#ifndef BERTH_PLANBUILD_H
#define BERTH_PLANBUILD_H

#include <stdint.h>
#include <string.h>

#include "../plan.h"

struct planbuild {
	uint8_t *buf;
	size_t size;
	uint32_t records;
};

static inline void put32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof v);
}

static inline struct planbuild plan_begin(uint8_t *buf)
{
	memset(buf, 0, 24);
	memcpy(buf, "BERTHPLN", 8);
	put32(buf + 8, PLAN_VERSION);
	return (struct planbuild){.buf = buf, .size = 24};
}

/* args: argc strings; lens gives their lengths, or NULL for strlen. */
static inline void plan_add(struct planbuild *b, uint16_t op, uint16_t argc, const char *const *args, const uint32_t *lens)
{
	uint8_t *head = b->buf + b->size;
	memcpy(head, &op, 2);
	memcpy(head + 2, &argc, 2);
	b->size += 8;
	size_t start = b->size;
	for (uint16_t i = 0; i < argc; i++) {
		uint32_t len = lens ? lens[i] : (uint32_t)strlen(args[i]);
		put32(b->buf + b->size, len);
		memcpy(b->buf + b->size + 4, args[i], len);
		b->buf[b->size + 4 + len] = 0;
		b->size += (size_t)len + 5;
	}
	put32(head + 4, (uint32_t)(b->size - start));
	b->records++;
}

static inline size_t plan_finish(struct planbuild *b)
{
	put32(b->buf + 12, (uint32_t)b->size);
	put32(b->buf + 16, b->records);
	return b->size;
}

#endif
