/* fuzz.h - what a fuzz target offers: libFuzzer's entry, and seeds for both libFuzzer and mutate.c. */
#ifndef BERTH_FUZZ_H
#define BERTH_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_MAX = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Writes seed number i (from 0) into out, which has FUZZ_MAX bytes. Returns its size, 0 when there are no more. */
size_t fuzz_seed(size_t i, uint8_t *out);

/* A copy of exactly this size, so that the sanitizer sees one byte too far. */
static inline void *fuzz_copy(const uint8_t *data, size_t size)
{
	void *copy = malloc(size ? size : 1);
	if (!copy)
		abort();
	return size ? memcpy(copy, data, size) : copy;
}

struct seed {
	const void *bytes;
	size_t size;
};

/* Of a text or of bytes in quotes, without the NUL behind it. */
#define SEED(text) {text, sizeof text - 1}

/* fuzz_seed for seeds that lie in a table. */
static inline size_t fuzz_seed_of(const struct seed *seeds, size_t count, size_t i, uint8_t *out)
{
	if (i >= count)
		return 0;
	memcpy(out, seeds[i].bytes, seeds[i].size);
	return seeds[i].size;
}

#endif
