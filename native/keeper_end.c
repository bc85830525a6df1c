/* keeper_end.c - the guest has ended: the record of it, what is released, and the way back after a reboot. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "confine.h"
#include "keep.h"
#include "loop.h"
#include "util.h"

enum { LOCK_FD = 3, EVENTS_LIMIT = 4 << 20 };

static uint64_t milliseconds(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_REALTIME, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Text as the inside of a JSON string; what is not plain ASCII becomes '?'. */
static const char *json_text(const char *text, char *out, size_t size)
{
	size_t n = 0;
	for (; *text && n + 2 < size; text++) {
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = *text >= ' ' && *text < 127 ? *text : '?';
	}
	out[n] = '\0';
	return out;
}

/* The file of events to append to. One that has grown to its limit is put aside as .1 in place of an older one, by whichever
 * keeper comes first: the lock and the second look see to it that a fresh file is not. */
static int open_events(const char *path)
{
	const int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	cleanup_fd int fd = open(path, flags, 0600);
	struct stat st, now;
	char old[4096];
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < EVENTS_LIMIT)
		return take_fd(&fd);
	int n = snprintf(old, sizeof old, "%s.1", path);
	if (n > 0 && (size_t)n < sizeof old && flock(fd, LOCK_EX | LOCK_NB) == 0 && stat(path, &now) == 0 && now.st_ino == st.st_ino)
		(void)rename(path, old);
	return open(path, flags, 0600);
}

void end_event(const struct keeper *k, const char *event, const char *fields)
{
	char line[2048], name[256];
	if (!*k->events)
		return;
	int n = snprintf(line, sizeof line, "{\"version\":1,\"time\":%llu,\"event\":\"%s\",\"container\":\"%s\"%s}\n",
			 (unsigned long long)milliseconds(), event, json_text(k->name, name, sizeof name), fields);
	if (n < 0 || (size_t)n >= sizeof line)
		return;
	cleanup_fd int fd = open_events(k->events);
	/* Nobody left to tell when this fails. */
	if (fd >= 0)
		(void)write_all(fd, line, (size_t)n);
}

static void failure_event(const struct keeper *k)
{
	char text[800], fields[1024];
	snprintf(fields, sizeof fields, ",\"step\":\"%s\",\"errno\":%d,\"text\":\"%s\"", failure.step, failure.err,
		 json_text(failure.text, text, sizeof text));
	end_event(k, "keeper-error", fields);
}

/* reboot(2) in a pid namespace ends its init by SIGINT (halt, power off) or SIGHUP (restart). */
static const char *kind_of(const siginfo_t *info)
{
	if (info->si_code == 0)
		return "unknown";
	if (info->si_code == CLD_EXITED)
		return "exit";
	return info->si_status == SIGINT ? "halt" : info->si_status == SIGHUP ? "reboot" : "killed";
}

/* How a process that is somebody else's child ended: the kernel tells it by the pidfd once it has been reaped (Linux
 * 6.15, PIDFD_INFO_EXIT in linux/pidfd.h); older ones do not, and info stays empty. Of a reboot, a halt and a kill it
 * says SIGKILL alike: those stay unknown too. */
static void adopted_end(int pidfd, siginfo_t *info)
{
	enum { PIDFD_INFO_EXIT = 1 << 3, TRIES = 300, PAUSE_NS = 10 * 1000 * 1000 };
	struct {
		uint64_t mask, cgroupid;
		uint32_t ids[11];
		int32_t exit_code;
	} about;
	const unsigned long request = _IOWR(0xFF, 11, __typeof__(about));
	for (int i = 0; i < TRIES; i++) {
		about = (__typeof__(about)){.mask = PIDFD_INFO_EXIT};
		if (ioctl(pidfd, request, &about) < 0)
			return;
		if (about.mask & PIDFD_INFO_EXIT) {
			if (WIFSIGNALED(about.exit_code) && WTERMSIG(about.exit_code) == SIGKILL)
				return;
			info->si_code = WIFEXITED(about.exit_code) ? CLD_EXITED : CLD_KILLED;
			info->si_status = WIFEXITED(about.exit_code) ? WEXITSTATUS(about.exit_code) : WTERMSIG(about.exit_code);
			return;
		}
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL); /* until its parent has reaped it */
	}
}

/* Reaps init, or learns how it ended where it is not our child. */
static void init_end(const struct keeper *k, siginfo_t *info)
{
	int waited;
	do
		waited = waitid(P_PIDFD, (id_t)k->pidfd, info, WEXITED);
	while (waited < 0 && errno == EINTR);
	if (waited < 0 && errno == ECHILD)
		adopted_end(k->pidfd, info);
}

void end_record(struct keeper *k, uint64_t oom_kills, bool *reboot)
{
	siginfo_t info = {0};
	init_end(k, &info);
	close_fd(&k->pidfd);
	const char *kind = kind_of(&info);
	*reboot = strcmp(kind, "reboot") == 0;
	char code[16] = "null", sig[16] = "null", fields[256], json[384];
	if (info.si_code != 0)
		snprintf(info.si_code == CLD_EXITED ? code : sig, sizeof code, "%d", info.si_status);
	snprintf(fields, sizeof fields, "\"pid\":%d,\"code\":%s,\"signal\":%s,\"kind\":\"%s\",\"oomKills\":%llu", (int)k->pid, code, sig,
		 kind, (unsigned long long)oom_kills);
	snprintf(json, sizeof json, "{\"version\":1,%s,\"time\":%llu}", fields, (unsigned long long)milliseconds());
	if (loop_release("loop", k->rundir) < 0)
		failure_event(k);
	if (replace_file_at(k->rundir, "exit", json, 0600) < 0) {
		(void)fail("keeper", "RUNDIR/exit");
		failure_event(k);
	}
	char event[300];
	snprintf(event, sizeof event, ",%s", fields);
	end_event(k, "exit", event);
	clients_say_exit(json);
}

/* Is RUNDIR/init still the guest of this keeper? */
static bool ours(const struct keeper *k)
{
	char buf[256];
	long pid;
	unsigned long long starttime;
	return read_file_at(k->rundir, "init", buf, sizeof buf) > 0 && sscanf(buf, "1 %ld %llu ", &pid, &starttime) == 2 &&
	       pid == k->pid && starttime == k->starttime;
}

bool end_release(struct keeper *k)
{
	if (!ours(k))
		return false;
	/* What is gone already (ENOENT) needs no writing. */
	for (char **pair = k->end_writes; pair[0] && pair[1]; pair += 2)
		if (write_file_at(AT_FDCWD, pair[0], pair[1]) < 0 && errno != ENOENT) {
			(void)fail("keeper", "%s", pair[0]);
			failure_event(k);
		}
	for (char **dir = k->cgroups; *dir; dir++)
		if (cgroup_remove(*dir) < 0)
			failure_event(k);
	static const char *const records[] = {"loop", "keeper.sock", "init"};
	for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
		if (unlinkat(k->rundir, records[i], 0) < 0 && errno != ENOENT) {
			(void)fail("keeper", "RUNDIR/%s", records[i]);
			failure_event(k);
		}
	}
	return true;
}

/* Only what the command cannot do without; the rest of the caller's environment was the caller's. */
static char **reboot_environment(void)
{
	static char *env[3];
	static char root[4096];
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	const char *given = getenv("BERTH_ROOT");
	env[0] = path;
	if (given && snprintf(root, sizeof root, "BERTH_ROOT=%s", given) < (int)sizeof root)
		env[1] = root;
	return env;
}

void end_reboot(struct keeper *k)
{
	int err = openat(k->rundir, "reboot.log", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (err < 0 || dup2(err, 2) < 0)
		(void)fail("reboot", "RUNDIR/reboot.log");
	if (setns(k->host_mnt, CLONE_NEWNS) < 0)
		(void)fail("reboot", "the host's mount namespace");
	else if (k->lock != LOCK_FD && dup2(k->lock, LOCK_FD) < 0)
		(void)fail("reboot", "lock");
	else if (confine_fds(LOCK_FD + 1) < 0 || fcntl(LOCK_FD, F_SETFD, 0) < 0 || chdir("/") < 0 || confine_reset() < 0)
		(void)fail("reboot", "leaving the keeper");
	else {
		execve(k->reboot[0], k->reboot, reboot_environment());
		(void)fail("reboot", "%s", k->reboot[0]);
	}
	failure_event(k);
	_exit(1);
}
