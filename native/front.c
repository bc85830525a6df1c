/* front.c - the program `berth`: hands every command to berth-cli, which it becomes; but a plain `berth exec NAME COMMAND...` it
 * does itself, as berth-launch's `attach` does, from what the start left in RUNDIR; and `berth start NAME` (front_start.c),
 * `berth stop --kill NAME` (front_stop.c), `berth ls` (front_ls.c) and `berth info NAME` (front_info.c) from what berth-cli left
 * beside the container's settings. That spares the start of a JavaScript engine. Whatever is not plain and sound (options, a
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
	return fd >= 0 && plan_read(fd, &plan, &why) == 0 && has_user_namespace(&plan) && !front_is_frozen(g->rundir);
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

/* What would end us during these waits: they are soon done. Where berth-cli takes over it is for that. */
static int do_undisturbed(int argc, char **argv, const char *cli)
{
	static const int held[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t waits, before;
	sigemptyset(&waits);
	for (size_t i = 0; i < sizeof held / sizeof held[0]; i++)
		sigaddset(&waits, held[i]);
	if (sigprocmask(SIG_BLOCK, &waits, &before) < 0)
		return -1;
	int status = argc == 4 ? front_stop(argv + 2) : front_start(argv[2], cli);
	if (status < 0)
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
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
	bool undisturbed = (argc == 4 && strcmp(argv[1], "stop") == 0) || (argc == 3 && strcmp(argv[1], "start") == 0);
	return undisturbed ? do_undisturbed(argc, argv, cli) : -1;
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
