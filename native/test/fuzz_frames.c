/* fuzz_frames.c - frames.h: pieces lie inside what was fed, and how the bytes were cut up makes no difference. */
#include <stdlib.h>
#include <string.h>

#include "../frames.h"
#include "../keeper.h"
#include "fuzz.h"

/* Everything that comes out, as bytes: payload with the type, the ends of frames. */
struct trace {
	uint64_t hash;
	int result;
};

static void note(struct trace *t, uint8_t byte)
{
	t->hash = (t->hash ^ byte) * 1099511628211ULL;
}

static struct trace feed(const uint8_t *data, size_t size, size_t step)
{
	struct frames f = {0};
	struct trace t = {.hash = 14695981039346656037ULL};
	for (size_t at = 0; at < size && t.result >= 0; at += step) {
		size_t len = size - at < step ? size - at : step;
		uint8_t *chunk = fuzz_copy(data + at, len);
		const uint8_t *p = chunk;
		struct piece piece;
		size_t turns = 0;
		while ((t.result = frames_next(&f, &p, chunk + len, &piece)) > 0) {
			if (piece.len > 0 && (piece.data < chunk || piece.data + piece.len > chunk + len))
				abort();
			if (++turns > len)
				abort(); /* every piece uses up a byte at least */
			for (size_t i = 0; i < piece.len; i++) {
				note(&t, piece.type);
				note(&t, piece.data[i]);
			}
			if (piece.last)
				note(&t, 0xee);
		}
		if (t.result == 0 && p != chunk + len)
			abort();
		free(chunk);
	}
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct trace whole = feed(data, size, size), bytes = feed(data, size, 1), some = feed(data, size, 1 + data[0] % 7U);
	if (whole.result != bytes.result || whole.result != some.result || whole.hash != bytes.hash || whole.hash != some.hash)
		abort();
	return 0;
}

size_t fuzz_seed(size_t i, uint8_t *out)
{
	static const uint8_t data[] = {FRAME_DATA, 0, 5, 0, 'h', 'e', 'l', 'l', 'o', FRAME_GONE, 0, 0, 0, FRAME_DATA, 0, 1, 0, 'x'};
	static const uint8_t sizes[] = {FRAME_WINSIZE, 0, 4, 0, 24, 0, 80, 0, 99, 0, 2, 0, 1, 2};
	static const char json[] = "{\"version\":1,\"pid\":1,\"code\":0,\"signal\":null,\"kind\":\"exit\",\"oomKills\":0,\"time\":1}";
	static const struct seed seeds[] = {{data, sizeof data}, {sizes, sizeof sizes}};
	if (i != 2)
		return fuzz_seed_of(seeds, 2, i, out);
	memcpy(out, (uint8_t[]){FRAME_EXIT, 0, sizeof json - 1, 0}, 4);
	memcpy(out + 4, json, sizeof json - 1);
	return 4 + sizeof json - 1;
}
