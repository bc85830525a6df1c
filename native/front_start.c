/* front_start.c - `berth start NAME` without berth-cli: carries out what src/container/prepared.ts left for it, where
 * everything that it was made from is as it was. Whatever is odd, and whatever fails before the guest runs, is left to
 * berth-cli: it removes what was made here, begins anew, and has the words. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "front.h"
#include "prepared.h"
#include "util.h"

enum { STATE_MAX = 65536, STATUS_MAX = 1024, LOCK_FD = 3, SHARED_TRIES = 200, MOST_FILES = 1 << 20 };

/* While it is held nobody makes or removes what all containers share. Others hold it for some milliseconds; several of us at
 * once (LOCK_SH) could keep them out for good. */
static int hold_shared(const char *dir)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	cleanup_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int tries = 0; fd >= 0 && tries < SHARED_TRIES; tries++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return take_fd(&fd);
		if (errno != EWOULDBLOCK)
			break;
		(void)nanosleep(&pause, NULL);
	}
	return -1;
}

/* As Bun raises it for itself and what it starts: a guest has the same whoever starts it. */
static void raise_open_files(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max < MOST_FILES ? files.rlim_max : MOST_FILES;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

static bool is_prepared_by(const struct plan *p, const char *name, const char *cli)
{
	const struct plan_record *r = plan_find(p, OP_PREPARED);
	struct stat ours, theirs;
	return r && strcmp(r->args[0].data, name) == 0 && stat(cli, &ours) == 0 && stat(r->args[1].data, &theirs) == 0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

/* Looks, and makes all but the guest, while nobody else does. */
static bool make_ready(const struct front_paths *paths, const struct plan *p)
{
	char locks[PATH_MAX];
	if (!front_join(locks, paths->run, ".lock"))
		return false;
	cleanup_fd int network = hold_shared(locks);
	cleanup_fd int cgroups = hold_shared(paths->run);
	return network >= 0 && cgroups >= 0 && prepared_holds(p) && prepared_make(p);
}

static int in_memory(const struct plan_arg *bytes)
{
	cleanup_fd int fd = memfd_create("plan", MFD_CLOEXEC);
	return fd >= 0 && write_all(fd, bytes->data, bytes->len) == 0 && lseek(fd, 0, SEEK_SET) == 0 ? take_fd(&fd) : -1;
}

/* The environment that berth-launch gets: what the keeper will start berth with when the guest reboots. */
static void pick_environment(char *envp[3])
{
	static char no_path[] = "PATH=";
	envp[0] = no_path;
	envp[1] = envp[2] = NULL;
	for (char **e = environ; *e; e++) {
		if (strncmp(*e, "PATH=", 5) == 0)
			envp[0] = *e;
		if (strncmp(*e, "BERTH_ROOT=", 11) == 0)
			envp[1] = *e;
	}
}

/* A Ctrl-C is for us alone: it gets a session of its own. */
static pid_t spawn(const char *program, int plan, int status, int lock)
{
	static char verb[] = "start";
	char *argv[] = {(char *)(uintptr_t)program, verb, NULL}, *envp[3];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	pid_t pid = -1;
	pick_environment(envp);
	raise_open_files();
	if (posix_spawn_file_actions_init(&files) != 0)
		return -1;
	if (posix_spawnattr_init(&how) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return -1;
	}
	if (posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSID) != 0 || posix_spawn_file_actions_adddup2(&files, plan, 0) != 0 ||
	    posix_spawn_file_actions_adddup2(&files, status, 1) != 0 || posix_spawn_file_actions_adddup2(&files, lock, LOCK_FD) != 0 ||
	    posix_spawn(&pid, program, &files, &how, argv, envp) != 0)
		pid = -1;
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return pid;
}

/* Whether the guest runs; where it does not, nothing is left of berth-launch. */
static bool is_running(int status, pid_t pid)
{
	char line[STATUS_MAX];
	size_t used = 0;
	while (used < sizeof line && !memchr(line, '\n', used)) {
		ssize_t n = read(status, line + used, sizeof line - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	if (used > 3 && memcmp(line, "ok ", 3) == 0)
		return true;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return false;
}

static bool launch(const char *program, const struct plan_arg *bytes, int lock)
{
	int status[2];
	cleanup_fd int plan = in_memory(bytes);
	if (plan < 0 || pipe2(status, O_CLOEXEC) < 0)
		return false;
	pid_t pid = spawn(program, plan, status[1], lock);
	close(status[1]);
	bool runs = pid > 0 && is_running(status[0], pid);
	close(status[0]);
	return runs;
}

/* The guest runs whether or not this can be noted. */
static int note_state(int home, const char *name, const struct plan_record *state)
{
	const char *after = state->args[1].data;
	if (strcmp(state->args[0].data, after) != 0 && replace_file_at(home, "state.json", after, 0600) < 0) {
		fprintf(stderr, "berth: container %s runs, but its state.json cannot be written: %s\n  once it can be: berth restart %s\n",
			name, strerror(errno), name);
		return EXIT_FAILURE;
	}
	(void)printf("%s: started\n", name);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Under the lock. */
static int start_as_prepared(const struct front_paths *paths, const char *name, const char *cli, int lock)
{
	__attribute__((cleanup(plan_free))) struct plan p = {0};
	static char file[PATH_MAX], state[STATE_MAX];
	const struct plan_record *bytes = NULL;
	cleanup_fd int home = open(paths->home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home < 0 || !front_join(file, paths->home, "start.prepared") || !prepared_read(file, &p) || !is_prepared_by(&p, name, cli) ||
	    read_file_at(home, "state.json", state, sizeof state) <= 0)
		return -1;
	const struct plan_record *which = prepared_state(&p, state, &bytes);
	if (!which || !make_ready(paths, &p) || !launch(plan_find(&p, OP_PREPARED)->args[2].data, &bytes->args[0], lock))
		return -1;
	return note_state(home, name, which);
}

int front_start(const char *name, const char *cli)
{
	static struct front_paths paths;
	char command[80];
	if (!front_is_name(name) || !front_may() || !front_paths(&paths, name))
		return -1;
	snprintf(command, sizeof command, "start %s", name);
	cleanup_fd int lock = front_lock(&paths, name, command);
	if (lock < 0)
		return -1;
	/* Modes are those of the plan. */
	mode_t mask = umask(0);
	int result = start_as_prepared(&paths, name, cli, lock);
	(void)umask(mask);
	return result;
}
