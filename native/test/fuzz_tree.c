/* fuzz_tree.c - tree.c's commands as arbitrary bytes: exactly the lines that are commands are carried out, up to the first that
 * is none. The copy itself is left out. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

static const uint8_t *input, *input_end;
static int output = -1;
static unsigned passes, flushed;

static ssize_t read_input(int fd, void *out, size_t size)
{
	size_t left = (size_t)(input_end - input), n = size < left ? size : left;
	memcpy(out, input, n);
	input += n;
	return fd == 0 ? (ssize_t)n : -1;
}

#undef STDOUT_FILENO
#define STDOUT_FILENO output
#define read read_input
#define main tree_main
int tree_main(int argc, char **argv);
#include "../tree.c"

int copy_pass(struct copy *c, bool flush)
{
	(void)c;
	passes++;
	flushed += flush;
	return 0;
}

int copy_open(struct copy *c, const char *src, const char *dst)
{
	(void)c;
	return src == dst ? -1 : 0;
}

void copy_close(struct copy *c)
{
	(void)c;
}

int copy_up_aliases(const char *merged, const char *work, uint64_t *count)
{
	*count = 0;
	return merged == work ? -1 : 0;
}

struct expected {
	unsigned passes, flushed;
};

/* The same once more, the plain way. */
static struct expected expect(const char *text, size_t size)
{
	struct expected e = {0};
	const char *last = text + size;
	for (const char *end; (end = memchr(text, '\n', (size_t)(last - text))); text = end + 1) {
		size_t len = (size_t)(end - text);
		if (len == 4 && memcmp(text, "pass", 4) == 0)
			e.flushed++;
		else if (!(len == 11 && memcmp(text, "pass nosync", 11) == 0))
			break;
		e.passes++;
	}
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char dir[] = "copy", a[] = "a", b[] = "b";
	if (output < 0)
		output = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (size == 0 || output < 0)
		return 0;
	input = data;
	input_end = data + size;
	passes = flushed = 0;
	struct expected e = expect((const char *)data, size);
	(void)copy_main(3, (char *[]){dir, a, b, NULL});
	if (passes != e.passes || flushed != e.flushed)
		abort();
	return 0;
}

size_t fuzz_seed(size_t i, uint8_t *out)
{
	static const struct seed seeds[] = {SEED("pass\npass nosync\nend\n"), SEED("pass nosync\npass nosync\npass"), SEED("pass\npasss\npass\n")};
	return fuzz_seed_of(seeds, sizeof seeds / sizeof seeds[0], i, out);
}
