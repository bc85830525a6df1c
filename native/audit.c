/* audit.c - berth-audit: its verbs, and how an attempt is run: each in a process of its own, so that none can spoil another.
 *
 *   berth-audit list                        the attempts, one JSON object a line
 *   berth-audit attack [--only ID]... KEY=VALUE...   makes them, one JSON line each: id, outcome, errno, detail
 *   berth-audit sloppy ...                  the same from a process that was started carelessly: the control
 *   berth-audit canary TAG DIR              things of the host's that nobody may reach, until standard input ends
 *   berth-audit pause SECONDS               the init of a guest of the audit's own
 */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ATTEMPT_SECONDS = 10, MOST_CHOSEN = 256 };

struct birth birth = {.leaked = -1, .cwd = -1, .mounts = -1};

static char **facts;

static const struct attempt *const groups[] = {kernel_attempts, call_attempts,	  machine_attempts, filter_attempts,
					       device_attempts, mount_attempts,	  process_attempts, escape_attempts,
					       cgroup_attempts, net_attempts,	  disk_attempts};

/* --- results and facts --- */

struct result through(const char *detail)
{
	struct result r = {.through = true};
	snprintf(r.detail, sizeof r.detail, "%s", detail);
	return r;
}

struct result blocked(int err, const char *detail)
{
	struct result r = {.err = err};
	snprintf(r.detail, sizeof r.detail, "%s", detail);
	return r;
}

struct result failed(void)
{
	return blocked(errno, "");
}

struct result passed_with(long returned, int err)
{
	return returned >= 0 || errno == err ? through("") : failed();
}

const char *fact(const char *key)
{
	size_t len = strlen(key);
	for (char **f = facts; f && *f; f++)
		if (strncmp(*f, key, len) == 0 && (*f)[len] == '=')
			return *f + len + 1;
	return NULL;
}

long fact_number(const char *key)
{
	const char *value = fact(key);
	return value ? strtol(value, NULL, 0) : 0;
}

unsigned long fact_address(const char *key)
{
	const char *value = fact(key);
	return value ? strtoul(value, NULL, 0) : 0;
}

/* --- one attempt --- */

static _Noreturn void in_child(const struct attempt *a, int out)
{
	/* The parent's death is ours; an attempt that hangs ends. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		_exit(1);
	alarm(ATTEMPT_SECONDS);
	struct result r = a->run(a);
	_exit(write(out, &r, sizeof r) == (ssize_t)sizeof r ? 0 : 1);
}

static struct result attempt(const struct attempt *a)
{
	int ends[2], status;
	struct result r;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return failed();
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		in_child(a, ends[1]);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return failed();
	}
	ssize_t n = read(ends[0], &r, sizeof r);
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n == (ssize_t)sizeof r)
		return r;
	r = blocked(0, "");
	snprintf(r.detail, sizeof r.detail, WIFSIGNALED(status) ? "killed by signal %d" : "ended with %d",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return r;
}

/* --- verbs --- */

static bool wanted(const char *id, char **only)
{
	bool all = true;
	for (; *only; only++) {
		all = false;
		if (strcmp(*only, id) == 0)
			return true;
	}
	return all;
}

static void look_at_birth(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];
	for (int fd = 3; fd < 4096 && birth.leaked < 0; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			birth.leaked = fd;
	birth.cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	birth.mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (syscall(SYS_capget, &head, sets) == 0)
		birth.inheritable = sets[0].inheritable | (unsigned long long)sets[1].inheritable << 32;
}

static int attack_main(int argc, char **argv)
{
	static char *only[MOST_CHOSEN + 1];
	char words[128];
	size_t chosen = 0;
	facts = argv + 1;
	for (int i = 1; i + 1 < argc && chosen < MOST_CHOSEN; i++)
		if (strcmp(argv[i], "--only") == 0)
			only[chosen++] = argv[i + 1];
	look_at_birth();
	if (setsid() < 0 && errno != EPERM)
		return 1;
	bool fresh = prepare(words, sizeof words);
	printf("{\"prepared\":%s,\"detail\":\"%s\"}\n", fresh ? "true" : "false", words);
	for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
		for (const struct attempt *a = groups[g]; a->id; a++) {
			/* What disturbs others is made where it is asked for by name. */
			if (!wanted(a->id, only) || (a->sandbox && chosen == 0))
				continue;
			/* Before the fork: else the child has the same bytes to print. */
			fflush(stdout);
			struct result r = attempt(a);
			printf("{\"id\":\"%s\",\"outcome\":\"%s\",\"errno\":%d,\"detail\":\"%s\"}\n", a->id,
			       r.through ? "through" : "blocked", r.err, r.detail);
		}
	return fflush(stdout) == 0 ? 0 : 1;
}

static int list_main(void)
{
	for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
		for (const struct attempt *a = groups[g]; a->id; a++)
			printf("{\"id\":\"%s\",\"what\":\"%s\",\"cve\":\"%s\",\"control\":\"%s\",\"sandbox\":%s}\n", a->id, a->what,
			       a->cve, a->control, a->sandbox ? "true" : "false");
	return fflush(stdout) == 0 ? 0 : 1;
}

/* Reaps, and ends by itself: nobody has to remember a guest of the audit's. */
static int pause_main(const char *seconds)
{
	signal(SIGCHLD, SIG_IGN);
	sleep((unsigned)strtoul(seconds, NULL, 10));
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	if (strcmp(verb, "list") == 0)
		return list_main();
	if (strcmp(verb, "attack") == 0)
		return attack_main(argc - 1, argv + 1);
	if (strcmp(verb, "sloppy") == 0)
		return sloppy_main(argc - 1, argv + 1);
	if (strcmp(verb, "canary") == 0 && argc == 4)
		return canary_main(argc - 1, argv + 1);
	if (strcmp(verb, "pause") == 0 && argc == 3)
		return pause_main(argv[2]);
	if (strcmp(verb, "--version") == 0) {
		puts("berth-audit " BERTH_VERSION);
		return 0;
	}
	fputs("berth-audit: it is berth that runs this program; see `berth help audit`\n", stderr);
	return 2;
}
