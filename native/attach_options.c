/* attach_options.c - the words behind `attach`. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "util.h"

static int usage(const char *what, const char *value)
{
	return fail_with(EINVAL, "usage", "%s%s", what, value ? value : "");
}

static int parse_fd(const char *name, const char *value, int *out)
{
	uint32_t fd;
	if (!passwd_id(value, strlen(value), &fd) || fd < 3 || fd > 1 << 20 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return fail_with(EINVAL, "usage", "%s wants an open fd above 2, not %s", name, value);
	*out = (int)fd;
	return 0;
}

static int parse_option(struct attach *a, const char *name, char *value)
{
	if (strcmp(name, "--user") == 0) {
		a->user_spec = value;
	} else if (strcmp(name, "--cwd") == 0) {
		a->cwd = value;
	} else if (strcmp(name, "--program") == 0) {
		a->program = value;
	} else if (strcmp(name, "--env") == 0) {
		if (value[0] == '=' || !strchr(value, '='))
			return usage("--env wants KEY=VALUE, not ", value);
		a->env[a->env_count++] = value;
	} else if (strcmp(name, "--tty") == 0) {
		if (strcmp(value, "auto") == 0)
			a->tty = TTY_AUTO;
		else if (strcmp(value, "always") == 0)
			a->tty = TTY_ALWAYS;
		else if (strcmp(value, "never") == 0)
			a->tty = TTY_NEVER;
		else
			return usage("--tty wants auto, always or never, not ", value);
	} else if (strcmp(name, "--status-fd") == 0) {
		return parse_fd(name, value, &a->status_fd);
	} else if (strcmp(name, "--script-fd") == 0) {
		return parse_fd(name, value, &a->script);
	} else {
		return usage("unknown option ", name);
	}
	return 0;
}

int attach_options(struct attach *a, int argc, char **argv)
{
	int i = 1;
	while (i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0) {
		if (i + 1 >= argc)
			return usage("no value after ", argv[i]);
		if (parse_option(a, argv[i], argv[i + 1]) < 0)
			return -1;
		i += 2;
	}
	if (i + 2 >= argc || strcmp(argv[i + 1], "--") != 0)
		return usage("attach [OPTIONS] RUNDIR -- ARGV...", NULL);
	a->rundir = argv[i];
	a->argv = argv + i + 2;
	return 0;
}

int attach_hide_env(struct attach *a)
{
	size_t size = 0;
	for (size_t i = 0; i < a->env_count; i++)
		size += strlen(a->env[i]) + 1;
	a->hidden = malloc(size + 1);
	if (!a->hidden)
		return fail("environment", "memory");
	char *at = a->hidden;
	for (size_t i = 0; i < a->env_count; i++) {
		char *said = a->env[i];
		size_t len = strlen(said) + 1;
		a->env[i] = memcpy(at, said, len);
		explicit_bzero(said, len);
		at += len;
	}
	return 0;
}
