/* tar.c - the words that criu calls tar with (criu/filesystems.c, tmpfs_dump and tmpfs_restore). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tar.h"
#include "util.h"

struct words {
	bool create, extract;
	const char *directory;
};

/* Those that say what we do anyway. */
static bool is_usual(const char *word)
{
	static const char *const usual[] = {"--gzip",	       "--no-unquote",		 "--no-wildcards", "--one-file-system",
					    "--check-links",   "--preserve-permissions", "--sparse",	   "--numeric-owner",
					    "."};
	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
		if (strcmp(word, usual[i]) == 0)
			return true;
	return false;
}

static bool read_words(int argc, char **argv, struct words *w)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--create") == 0)
			w->create = true;
		else if (strcmp(argv[i], "--extract") == 0)
			w->extract = true;
		else if (strcmp(argv[i], "--directory") == 0 && i + 1 < argc)
			w->directory = argv[++i];
		else if (!is_usual(argv[i]))
			return false;
	}
	return w->directory && w->create != w->extract;
}

/* 1 done, 0 for the real tar, -1. */
static int work(int argc, char **argv)
{
	struct words w = {0};
	if (!read_words(argc, argv, &w))
		return 0;
	cleanup_fd int dir = open(w.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail("tar", "%s", w.directory);
	return w.create ? tar_create(dir, STDOUT_FILENO) : tar_extract(STDIN_FILENO, dir);
}

/* One line of criu's log, whose complaints begin so. Names are the guest's. */
static void complain(void)
{
	for (char *c = failure.text; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
	(void)fprintf(stderr, "Error (%s): %s: %s\n", failure.step, failure.text, strerror(failure.err));
}

int main(int argc, char **argv)
{
	int result = work(argc, argv);
	if (result == 0) {
		(void)execv("/usr/bin/tar", argv);
		(void)execv("/bin/tar", argv);
		result = fail("tar", "/usr/bin/tar");
	}
	if (result < 0)
		complain();
	return result < 0;
}
