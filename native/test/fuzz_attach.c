/* fuzz_attach.c - the words behind `attach`, each ended by a newline: what is accepted is what was said, in its place, and no
 * secret stays in the words. */
#include "fuzz.h"

#include <fcntl.h>

enum { MOST_WORDS = 512, FDS_OPEN = 20 };

/* As if the fds 0 to 19 were open. */
static int fuzz_fcntl(int fd, int command, int flags)
{
	if (command != F_SETFD || flags != FD_CLOEXEC)
		abort();
	return fd >= 0 && fd < FDS_OPEN ? 0 : -1;
}

#define fcntl fuzz_fcntl
#include "../attach_options.c"

/* The words, each a string of its own size; `argv` has room for one more. */
static int split(const char *text, size_t size, char **argv)
{
	const char *end = text + size;
	int argc = 0;
	argv[argc++] = fuzz_copy((const uint8_t *)"attach", 7);
	for (const char *stop; argc < MOST_WORDS && (stop = memchr(text, '\n', (size_t)(end - text))); text = stop + 1) {
		char *word = fuzz_copy((const uint8_t *)text, (size_t)(stop - text) + 1);
		word[stop - text] = '\0';
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	return argc;
}

/* The same once more, the plain way: every option is the last one of its name, and the entries of env are all of theirs. */
static void check(const struct attach *a, char *const *argv)
{
	size_t env = 0;
	const char *user = NULL, *cwd = NULL, *program = NULL, *tty = "auto";
	for (; argv + 3 < a->argv; argv += 2) {
		const char *option = argv[1], *value = argv[2];
		user = strcmp(option, "--user") == 0 ? value : user;
		cwd = strcmp(option, "--cwd") == 0 ? value : cwd;
		program = strcmp(option, "--program") == 0 ? value : program;
		tty = strcmp(option, "--tty") == 0 ? value : tty;
		if (option[0] != '-' || (strcmp(option, "--env") == 0 && (env >= a->env_count || a->env[env++] != value)))
			abort();
	}
	if (a->user_spec != user || a->cwd != cwd || a->program != program || a->env_count != env)
		abort();
	if (strcmp(tty, (const char *[]){"auto", "always", "never"}[a->tty]) != 0)
		abort();
	for (int i = 0; i < 2; i++) {
		int fd = i ? a->script : a->status_fd;
		if (fd != -1 && (fd < 3 || fd >= FDS_OPEN))
			abort();
	}
	if (argv + 3 != a->argv || a->rundir != argv[1] || strcmp(argv[2], "--") != 0 || !a->argv[0])
		abort();
}

static void check_hidden(struct attach *a, char *const *argv)
{
	char *texts[MOST_WORDS];
	for (size_t i = 0; i < a->env_count; i++)
		texts[i] = fuzz_copy((const uint8_t *)a->env[i], strlen(a->env[i]) + 1);
	if (attach_hide_env(a) < 0)
		abort();
	for (; argv + 3 < a->argv; argv += 2)
		if (strcmp(argv[1], "--env") == 0 && argv[2][0] != '\0')
			abort();
	for (size_t i = 0; i < a->env_count; i++) {
		if (strcmp(texts[i], a->env[i]) != 0)
			abort();
		free(texts[i]);
	}
	free(a->hidden);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[MOST_WORDS + 1];
	int argc = split((const char *)data, size, argv);
	struct attach a = {.status_fd = -1, .script = -1, .env = calloc((size_t)argc, sizeof *a.env)};
	if (!a.env)
		abort();
	if (attach_options(&a, argc, argv) == 0) {
		check(&a, argv);
		check_hidden(&a, argv);
	}
	free(a.env);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return 0;
}

size_t fuzz_seed(size_t i, uint8_t *out)
{
	static const struct seed seeds[] = {
		SEED("/run/berth/c1\n--\nls\n-la\n"),
		SEED("--user\nroot:0\n--cwd\n/root\n--tty\nalways\n--env\nA=1\n--env\nB=\n/run/berth/c1\n--\nsh\n"),
		SEED("--status-fd\n5\n--script-fd\n19\n--tty\nnever\n--program\n/bin/x\n/run\n--\n--\n"),
		SEED("--env\n=x\n--env\nnone\n--tty\nauto\n--status-fd\n4294967299\n--user\n--\n--\n--\nx\n"),
	};
	return fuzz_seed_of(seeds, sizeof seeds / sizeof seeds[0], i, out);
}
