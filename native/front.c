/* front.c - the program `berth`: hands every command to berth-cli, which it becomes; but `berth exec NAME COMMAND...` without
 * options it does itself, as berth-launch's `attach` does, from what the start left in RUNDIR; and `berth start NAME` (front_start.c),
 * `berth ls` and `berth info NAME` (front_show.c) from what berth-cli left beside the container's settings. That spares the start of a JavaScript engine. Whatever is not plain and sound (options, a
 * name that is none, a guest that does not run, one without a user namespace, any failure before the command runs) is left to
 * berth-cli, which knows the words for it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "front.h"
#include "plan.h"
#include "util.h"
#include "verbs.h"

/* Whether a file of a cgroup says that it is frozen; one that is not there says no. */
static bool says_frozen(const char *dir, size_t len, const char *file, const char *thawed)
{
	char path[PATH_MAX], text[64];
	int n = snprintf(path, sizeof path, "%.*s/%s", (int)len, dir, file);
	if (n < 0 || (size_t)n >= sizeof path)
		return true;
	return read_file_at(AT_FDCWD, path, text, sizeof text) >= 0 && strncmp(text, thawed, strlen(thawed)) != 0;
}

/* The guest's v2 directory is `guest` below the one that berth freezes. */
static bool is_frozen_v2(const struct plan_record *r)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s%s", r->args[0].data, r->args[1].data);
	const char *end = n > 0 && (size_t)n < sizeof path ? strrchr(path, '/') : NULL;
	return !end || says_frozen(path, (size_t)(end - path), "cgroup.freeze", "0");
}

static bool is_frozen(const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct plan_record *r = &plan->records[i];
		if (r->op == OP_CGROUP_LIKE_INIT && is_frozen_v2(r))
			return true;
		if (r->op == OP_CGROUP_JOIN && strcmp(r->args[0].data, "v1") == 0 &&
		    says_frozen(r->args[1].data, strlen(r->args[1].data), "freezer.state", "THAWED"))
			return true;
	}
	return false;
}

/* Without a user namespace the guest's root could write to this program by /proc/PID/exe. */
static bool has_user_namespace(const struct plan *plan)
{
	const struct plan_record *r = plan_find(plan, OP_NAMESPACES);
	for (uint16_t i = 0; r && i < r->argc; i++)
		if (strcmp(r->args[i].data, "user") == 0)
			return true;
	return false;
}

/* intent.json is there while an operation is under way or was cut short. */
static bool is_ready(const struct front_paths *g)
{
	char config[PATH_MAX], intent[PATH_MAX], attach[PATH_MAX];
	const char *why;
	struct plan plan;
	if (!front_join(config, g->home, "config.yaml") || !front_join(intent, g->home, "intent.json") ||
	    !front_join(attach, g->rundir, "attach") || access(config, F_OK) < 0 || access(intent, F_OK) == 0)
		return false;
	cleanup_fd int fd = open(attach, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && plan_read(fd, &plan, &why) == 0 && has_user_namespace(&plan) && !is_frozen(&plan);
}

/* `exec NAME [--] COMMAND...`. Returns the exit status when the command has run, -1 when this is berth-cli's. */
static int exec_plain(int argc, char **argv)
{
	struct front_paths g;
	int first = argc > 3 && strcmp(argv[3], "--") == 0 ? 4 : 3;
	if (first >= argc || !front_is_name(argv[2]) || !front_may() || !front_paths(&g, argv[2]) || !is_ready(&g))
		return -1;
	int report[2];
	sigset_t mask;
	char number[16], verb[] = "attach", option[] = "--status-fd", dashes[] = "--";
	char **words = calloc((size_t)(argc - first) + 6, sizeof *words);
	if (!words || sigprocmask(SIG_SETMASK, NULL, &mask) < 0 || pipe2(report, O_CLOEXEC) < 0) {
		free(words);
		return -1;
	}
	snprintf(number, sizeof number, "%d", report[1]);
	char *fixed[] = {verb, option, number, g.rundir, dashes};
	memcpy(words, fixed, sizeof fixed);
	memcpy(words + 5, argv + first, (size_t)(argc - first) * sizeof *words);
	int status = attach_main(argc - first + 5, words);
	free(words);
	/* Something on the pipe: the command has not run. */
	char c;
	close(report[1]);
	ssize_t said = status >= EXIT_FAILED && status <= EXIT_NOT_FOUND ? read(report[0], &c, 1) : 0;
	close(report[0]);
	if (said <= 0)
		return status;
	return sigprocmask(SIG_SETMASK, &mask, NULL) < 0 ? status : -1;
}

/* Commands that end before the engine's compilers would pay for what they cost, a sixth of the whole. (Without its JIT altogether the
 * engine has no way to call the libc.) */
static bool is_short(const char *command)
{
	static const char *const known[] = {"start", "stop", "restart", "create", "rm", "ls", "info", "exec", "enter", "freeze", "thaw", "set", "clone"};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(command, known[i]) == 0)
			return true;
	return false;
}

/* Beside this program as built, in ../libexec/berth as installed. */
static bool find_cli(char *path)
{
	static const char *const places[] = {"berth-cli", "../libexec/berth/berth-cli"};
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
	if (n <= 0)
		return false;
	own[n] = '\0';
	*strrchr(own, '/') = '\0';
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (front_join(path, own, places[i]) && access(path, X_OK) == 0)
			return true;
	return false;
}

/* The exit status, or -1 when it is berth-cli's. */
static int do_plain(int argc, char **argv, const char *cli)
{
	if (argc > 3 && strcmp(argv[1], "exec") == 0)
		return exec_plain(argc, argv);
	if (argc == 2 && strcmp(argv[1], "ls") == 0)
		return front_ls(cli);
	if (argc == 3 && strcmp(argv[1], "info") == 0)
		return front_info(argv[2], cli);
	return argc == 3 && strcmp(argv[1], "start") == 0 ? front_start(argv[2], cli) : -1;
}

int main(int argc, char **argv)
{
	char cli[PATH_MAX];
	bool found = find_cli(cli);
	int status = found ? do_plain(argc, argv, cli) : -1;
	if (status >= 0)
		return status;
	if (argc > 1 && is_short(argv[1]))
		(void)setenv("BUN_JSC_useBaselineJIT", "0", 0);
	if (found)
		execv(cli, argv);
	fprintf(stderr, "berth: berth-cli cannot be started: %s\n  build it with npm run build, or install berth again\n",
		strerror(errno));
	return 125;
}
