/* tree.c - berth-tree: the verbs and what they say. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "tree_aliases.h"
#include "tree_copy.h"
#include "util.h"

#ifndef BERTH_VERSION
#define BERTH_VERSION "unknown"
#endif

static int usage(void)
{
	fputs("usage: berth-tree copy [--shift FROM TO COUNT] [--keep-devices] [--] SRC DST | aliases [--] MERGED WORK | --version\n", stderr);
	return 2;
}

/* A name of the guest's may hold any byte; the answer is one line. */
static int say_failure(void)
{
	for (char *p = failure.text; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	dprintf(STDOUT_FILENO, "error %s %d %s\n", failure.step, failure.err, failure.text);
	return 1;
}

static bool parse_id(const char *word, uint32_t *value)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(word, &end, 10);
	*value = (uint32_t)v;
	return isdigit((unsigned char)*word) && *end == '\0' && errno == 0 && v <= UINT32_MAX;
}

/* A line without its end; 0 at the end of input, -1 after fail(). */
static int read_line(char *line, size_t size)
{
	for (size_t used = 0; used < size;) {
		ssize_t n = read(STDIN_FILENO, line + used, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail("input", "read");
		if (n == 0)
			return 0;
		if (line[used] == '\n') {
			line[used] = '\0';
			return 1;
		}
		if (line[used] == '\0')
			return fail_with(EINVAL, "input", "a NUL byte");
		used += (size_t)n;
	}
	return fail_with(EINVAL, "input", "line too long");
}

static int answer_pass(struct copy *c, bool sync)
{
	uint64_t begun = clock_us();
	if (copy_pass(c, sync) < 0)
		return -1;
	int said = dprintf(STDOUT_FILENO, "done %ju %ju %ju %ju %ju\n", (uintmax_t)c->entries, (uintmax_t)c->copied, (uintmax_t)c->removed,
			   (uintmax_t)c->bytes, (uintmax_t)(clock_us() - begun));
	return said < 0 ? fail("output", "write") : 0;
}

static int answer_sync(const struct copy *c)
{
	if (syncfs(c->dst) < 0)
		return fail("sync", "destination");
	return dprintf(STDOUT_FILENO, "synced\n") < 0 ? fail("output", "write") : 0;
}

static int converse(struct copy *c)
{
	char line[64];
	int more;
	while ((more = read_line(line, sizeof line)) > 0 && strcmp(line, "end") != 0) {
		int result;
		if (strcmp(line, "pass") == 0 || strcmp(line, "pass nosync") == 0)
			result = answer_pass(c, line[4] == '\0');
		else if (strcmp(line, "sync") == 0)
			result = answer_sync(c);
		else
			result = fail_with(EINVAL, "input", "%s: not a command", line);
		if (result < 0)
			return -1;
	}
	return more < 0 ? -1 : 0;
}

static int copy_main(int argc, char **argv)
{
	__attribute__((cleanup(copy_close))) struct copy c = {.src = -1, .dst = -1};
	int i = 1;
	for (; i < argc && strncmp(argv[i], "--", 2) == 0 && argv[i][2]; i++) {
		if (strcmp(argv[i], "--keep-devices") == 0) {
			c.keep_devices = true;
		} else if (strcmp(argv[i], "--shift") == 0 && i + 3 < argc && parse_id(argv[i + 1], &c.shift.from) &&
			   parse_id(argv[i + 2], &c.shift.to) && parse_id(argv[i + 3], &c.shift.count)) {
			i += 3;
		} else {
			return usage();
		}
	}
	i += i < argc && strcmp(argv[i], "--") == 0;
	if (argc - i != 2)
		return usage();
	return copy_open(&c, argv[i], argv[i + 1]) < 0 || converse(&c) < 0 ? say_failure() : 0;
}

static int aliases_main(int argc, char **argv)
{
	int i = 1 + (argc > 1 && strcmp(argv[1], "--") == 0);
	if (argc - i != 2)
		return usage();
	uint64_t count;
	if (copy_up_aliases(argv[i], argv[i + 1], &count) < 0)
		return say_failure();
	return dprintf(STDOUT_FILENO, "done %ju\n", (uintmax_t)count) < 0;
}

/* With its caller it ends, who decides what Ctrl-C means; and no file that it makes loses bits of its mode. */
static int prepare(void)
{
	struct rlimit files;
	if (signal(SIGINT, SIG_IGN) == SIG_ERR)
		return fail("start", "SIGINT");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return fail("start", "parent death signal");
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return fail("start", "file limit");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return fail("start", "file limit");
	umask(0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("berth-tree %s\n", BERTH_VERSION) < 0;
	if (argc < 2)
		return usage();
	if (prepare() < 0)
		return say_failure();
	if (strcmp(argv[1], "copy") == 0)
		return copy_main(argc - 1, argv + 1);
	if (strcmp(argv[1], "aliases") == 0)
		return aliases_main(argc - 1, argv + 1);
	return usage();
}
