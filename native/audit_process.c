/* audit_process.c - processes of the host: the canary stands for all of them. It is looked at, never changed. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The canary's pid, 0 with errno when that number means somebody else here. Where /proc shows nobody by that number the call is
 * made all the same: /proc may be another pid namespace's. */
static pid_t victim(void)
{
	char path[64], comm[32] = "";
	const char *name = fact("comm");
	pid_t pid = (pid_t)fact_number("pid");
	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (pid < 2) {
		errno = ESRCH;
		return 0;
	}
	if (fd < 0)
		return pid;
	ssize_t n = read(fd, comm, sizeof comm - 1);
	close(fd);
	if (n <= 0 || !name || strncmp(comm, name, strlen(name)) != 0) {
		errno = ESRCH;
		return 0;
	}
	return pid;
}

static bool is_secret(const char *bytes)
{
	const char *secret = fact("secret");
	return secret && strcmp(bytes, secret) == 0;
}

static struct result see(const struct attempt *a)
{
	char path[64];
	pid_t pid = victim();
	(void)a;
	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	return pid && access(path, F_OK) == 0 ? through("") : failed();
}

/* Signal 0 asks for permission only. */
static struct result signal_it(const struct attempt *a)
{
	pid_t pid = victim();
	(void)a;
	return pid && kill(pid, 0) == 0 ? through("") : failed();
}

static struct result trace_it(const struct attempt *a)
{
	pid_t pid = victim();
	(void)a;
	/* Seizing does not stop it; the kernel lets go of it when this process ends. */
	return pid && ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 ? through("") : failed();
}

static struct result read_memory(const struct attempt *a)
{
	char buf[64] = "";
	pid_t pid = victim();
	struct iovec here = {buf, sizeof buf - 1}, there = {(void *)(uintptr_t)fact_address("at"), sizeof buf - 1};
	(void)a;
	if (!pid || process_vm_readv(pid, &here, 1, &there, 1, 0) < 0)
		return failed();
	return is_secret(buf) ? through("") : blocked(0, "not its memory");
}

static struct result open_memory(const struct attempt *a)
{
	char path[64], buf[64] = "";
	pid_t pid = victim();
	(void)a;
	snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
	int fd = pid ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return failed();
	ssize_t n = pread(fd, buf, sizeof buf - 1, (off_t)fact_address("at"));
	struct result r = n < 0 ? failed() : is_secret(buf) ? through("") : blocked(0, "not its memory");
	close(fd);
	return r;
}

static struct result read_environment(const struct attempt *a)
{
	char path[64], buf[4096];
	pid_t pid = victim();
	(void)a;
	snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	int fd = pid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return failed();
	ssize_t n = read(fd, buf, sizeof buf);
	struct result r = n < 0 ? failed() : through("");
	close(fd);
	return r;
}

static struct result take_fd_of(const struct attempt *a)
{
	pid_t pid = victim();
	(void)a;
	int pidfd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pidfd < 0)
		return failed();
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)fact_number("fd"), 0);
	struct result r = fd < 0 ? failed() : through("");
	if (fd >= 0)
		close(fd);
	close(pidfd);
	return r;
}

static struct result join_namespace(const struct attempt *a)
{
	char path[64];
	pid_t pid = victim();
	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, a->path);
	int fd = pid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return failed();
	struct result r = setns(fd, 0) == 0 ? through("") : failed();
	close(fd);
	return r;
}

static struct result slow_down(const struct attempt *a)
{
	pid_t pid = victim();
	(void)a;
	errno = pid ? 0 : ESRCH;
	int now = pid ? getpriority(PRIO_PROCESS, (id_t)pid) : 0;
	return pid && errno == 0 && setpriority(PRIO_PROCESS, (id_t)pid, now) == 0 ? through("") : failed();
}

static struct result change_limits(const struct attempt *a)
{
	struct rlimit limit;
	pid_t pid = victim();
	(void)a;
	if (!pid || prlimit(pid, RLIMIT_CORE, NULL, &limit) < 0)
		return failed();
	return prlimit(pid, RLIMIT_CORE, &limit, NULL) == 0 ? through("") : failed();
}

#define VICTIM(ID, WHAT, CVE, RUN, CONTROL) {.id = ID, .what = WHAT, .cve = CVE, .control = CONTROL, .run = RUN}

const struct attempt process_attempts[] = {
	VICTIM("process-see", "see the host's processes", "", see, "the host's root finds the canary in /proc"),
	VICTIM("process-kill", "kill a process of the host", "", signal_it, "the host's root may signal the canary"),
	VICTIM("process-ptrace", "trace a process of the host", "", trace_it, "the host's root seizes the canary"),
	VICTIM("process-memory", "read a process of the host by process_vm_readv", "", read_memory, "the host's root reads the secret"),
	VICTIM("process-mem-file", "write into a process of the host by /proc/PID/mem", "", open_memory,
	       "the host's root opens it for writing, and reads the secret"),
	VICTIM("process-environ", "read the environment of a process of the host", "", read_environment, "the host's root reads it"),
	VICTIM("process-fd", "take an open file from a process of the host (pidfd_getfd)", "", take_fd_of, "the host's root gets it"),
	VICTIM("process-nice", "slow down a process of the host", "", slow_down, "the host's root sets what is set"),
	VICTIM("process-limits", "change the limits of a process of the host", "", change_limits, "the host's root sets what is set"),
	{.id = "join-mnt", .what = "join the host's mount namespace", .cve = "", .control = "the host's root joins the canary's",
	 .run = join_namespace, .path = "mnt"},
	{.id = "join-net", .what = "join the host's network namespace", .cve = "", .control = "the host's root joins the canary's",
	 .run = join_namespace, .path = "net"},
	{0},
};
