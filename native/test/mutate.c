/* mutate.c - drives a fuzz target without libFuzzer, the same way every time.
 *   TARGET --mutate COUNT SEED   mutations of the seeds; prints "ok NAME COUNT inputs"
 *   TARGET --seeds DIR           writes the seeds as files, for libFuzzer
 *   TARGET FILE...               runs these inputs */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static uint64_t state;

/* xorshift64*: fast, and the same on every machine. */
static uint32_t next(uint32_t below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 2685821657736338717ULL) >> 32) % below;
}

/* Little-endian values that lengths and counts go wrong at. */
static const uint32_t edges[] = {0, 1, 2, 3, 4, 7, 8, 255, 256, 4096, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};

static size_t mutate(uint8_t *buf, size_t size)
{
	switch (next(8)) {
	case 0: /* a bit */
		if (size > 0)
			buf[next((uint32_t)size)] ^= (uint8_t)(1 << next(8));
		return size;
	case 1: /* a byte */
		if (size > 0)
			buf[next((uint32_t)size)] = (uint8_t)next(256);
		return size;
	case 2: /* an edge, 2 or 4 bytes wide */
	case 3: {
		size_t width = next(2) ? 4 : 2;
		if (size >= width)
			memcpy(buf + next((uint32_t)(size - width + 1)), &edges[next(sizeof edges / sizeof edges[0])], width);
		return size;
	}
	case 4: /* cut off */
		return size > 0 ? next((uint32_t)size) : 0;
	case 5: { /* take a stretch out */
		if (size < 2)
			return size;
		size_t at = next((uint32_t)size), len = next((uint32_t)(size - at)) % 32;
		memmove(buf + at, buf + at + len, size - at - len);
		return size - len;
	}
	case 6: { /* double a stretch */
		if (size == 0)
			return size;
		size_t at = next((uint32_t)size), len = 1 + next((uint32_t)(size - at)) % 64;
		if (len > size - at || size + len > FUZZ_MAX)
			return size;
		memmove(buf + at + len, buf + at, size - at);
		return size + len;
	}
	default: { /* the characters that parsers of text turn on */
		static const char special[] = ":,\n\t /0\"-#=";
		if (size > 0)
			buf[next((uint32_t)size)] = (uint8_t)special[next(sizeof special)];
		return size;
	}
	}
}

static int run_mutations(const char *name, unsigned long count, uint64_t seed)
{
	static uint8_t buf[FUZZ_MAX];
	size_t seeds = 0;
	while (fuzz_seed(seeds, buf) > 0)
		seeds++;
	state = seed;
	for (unsigned long i = 0; i < count && seeds > 0; i++) {
		size_t size = fuzz_seed(i % seeds, buf);
		for (uint32_t n = next(6); n > 0; n--)
			size = mutate(buf, size);
		LLVMFuzzerTestOneInput(buf, size);
	}
	printf("%s %s_%lu_inputs\n", seeds > 0 ? "ok" : "not ok", name, count);
	return seeds == 0;
}

static int write_seeds(const char *dir)
{
	static uint8_t buf[FUZZ_MAX];
	size_t size;
	for (size_t i = 0; (size = fuzz_seed(i, buf)) > 0; i++) {
		char path[4096];
		int n = snprintf(path, sizeof path, "%s/seed-%zu", dir, i);
		if (n < 0 || (size_t)n >= sizeof path)
			return 1;
		FILE *f = fopen(path, "we");
		if (!f || fwrite(buf, 1, size, f) != size || fclose(f) != 0) {
			fprintf(stderr, "%s: %s\n", path, strerror(errno));
			return 1;
		}
	}
	return 0;
}

static int run_file(const char *path)
{
	static uint8_t buf[2 << 20];
	FILE *f = fopen(path, "re");
	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	size_t size = fread(buf, 1, sizeof buf, f);
	fclose(f);
	LLVMFuzzerTestOneInput(buf, size);
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	name = name ? name + 1 : argv[0];
	if (argc == 4 && strcmp(argv[1], "--mutate") == 0)
		return run_mutations(name, strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
		return write_seeds(argv[2]);
	int failed = argc < 2;
	for (int i = 1; i < argc; i++)
		failed |= run_file(argv[i]);
	return failed;
}
