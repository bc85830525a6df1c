/* front_paths.c - names, paths and conditions that all of the front shares. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front.h"

bool front_is_name(const char *word)
{
	size_t len = strlen(word);
	return len >= 1 && len <= 63 && strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && word[0] != '-' &&
	       word[len - 1] != '-';
}

static bool format(char *out, const char *root, const char *rest, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s%s%s", root, rest, name);
	return n > 0 && n < PATH_MAX;
}

bool front_join(char *out, const char *dir, const char *file)
{
	return format(out, dir, "/", file);
}

bool front_paths(struct front_paths *p, const char *name)
{
	const char *root = getenv("BERTH_ROOT");
	bool own = root && root[0];
	if (own && root[0] != '/')
		return false;
	root = own ? root : "";
	return format(p->lib, root, own ? "/var/lib" : "/var/lib/berth", "") && format(p->run, root, own ? "/run" : "/run/berth", "") &&
	       front_join(p->rundir, p->run, name) && format(p->home, p->lib, "/containers/", name);
}

bool front_may(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return false;
	return geteuid() == 0 && getuid() == 0 && !getenv("BERTH_TRACE");
}
