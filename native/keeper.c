/* keeper.c - what stays of berth-launch while the guest runs. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "clock.h"
#include "keep.h"
#include "sys.h"
#include "util.h"

enum { OOM_SETTLE_MS = 100, FLUSH_MS = 500 };

static int listen_socket(int rundir)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/keeper.sock", rundir);
	if (unlinkat(rundir, "keeper.sock", 0) < 0 && errno != ENOENT)
		return fail("keeper", "keeper.sock");
	cleanup_fd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return fail("keeper", "socket");
	mode_t mask = umask(0177);
	int bound = bind(sock, (struct sockaddr *)&at, sizeof at);
	umask(mask);
	if (bound < 0 || listen(sock, KEEPER_CLIENTS) < 0)
		return fail("keeper", "keeper.sock");
	return take_fd(&sock);
}

/* Copies of the arguments of every record of an op (or of the first alone), NULL terminated. */
static char **copy_args(const struct plan *p, enum plan_op op)
{
	size_t n = 0;
	for (uint32_t i = 0; i < p->count; i++)
		n += p->records[i].op == op ? p->records[i].argc : 0;
	char **list = calloc(n + 1, sizeof *list);
	n = 0;
	for (uint32_t i = 0; list && i < p->count; i++)
		for (uint16_t k = 0; p->records[i].op == op && k < p->records[i].argc; k++)
			if (!(list[n++] = strdup(p->records[i].args[k].data)))
				return NULL;
	return list;
}

int keeper_prepare(struct keeper *k, const struct plan *p)
{
	const struct plan_record *rundir = plan_find(p, OP_RUNDIR), *events = plan_find(p, OP_EVENTS);
	const struct plan_record *console_op = plan_find(p, OP_CONSOLE), *oom = plan_find(p, OP_OOM_EVENTS);
	k->rundir = open(rundir->args[0].data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (k->rundir < 0)
		return fail("keeper", "%s", rundir->args[0].data);
	if (console_op && !plan_u64(&console_op->args[1], UINT64_MAX, &k->log_limit))
		return fail_with(EINVAL, "console", "bad size of the log");
	k->name = strdup(plan_find(p, OP_NAME)->args[0].data);
	k->events = strdup(events ? events->args[0].data : "");
	k->log = strdup(console_op ? console_op->args[0].data : "");
	k->oom_file = strdup(oom ? oom->args[1].data : "");
	k->oom_v1 = oom && strcmp(oom->args[0].data, "v1") == 0;
	k->reboot = copy_args(p, OP_REBOOT);
	k->cgroups = copy_args(p, OP_CGROUP_REMOVE);
	k->end_writes = copy_args(p, OP_END_WRITE);
	if (!k->name || !k->events || !k->log || !k->oom_file || !k->reboot || !k->cgroups || !k->end_writes)
		return fail("keeper", "memory");
	if (unlinkat(k->rundir, "exit", 0) < 0 && errno != ENOENT)
		return fail("keeper", "RUNDIR/exit");
	k->listen = listen_socket(k->rundir);
	return k->listen < 0 ? -1 : 0;
}

int keeper_record(struct keeper *k)
{
	char boot_id[64], text[256];
	k->starttime = process_starttime(k->pid);
	uint64_t own = process_starttime(getpid());
	if (k->starttime == 0 || own == 0)
		return fail("keeper", "start times");
	if (read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id) < 0)
		return fail("keeper", "boot_id");
	boot_id[strcspn(boot_id, "\n")] = '\0';
	snprintf(text, sizeof text, "1 %d %llu %d %llu %s\n", (int)k->pid, (unsigned long long)k->starttime, (int)getpid(),
		 (unsigned long long)own, boot_id);
	if (replace_file_at(k->rundir, "init", text, 0600) < 0)
		return fail("keeper", "RUNDIR/init");
	return 0;
}

/* The kernel's notice of an out-of-memory kill: an fd to poll, with what to poll it for. */
struct oom {
	int fd, file;
	short events;
	uint64_t kills;
	uint64_t check_at; /* the notice comes before the count */
};

static void oom_watch(const struct keeper *k, struct oom *o)
{
	*o = (struct oom){.fd = -1, .file = -1};
	if (!*k->oom_file)
		return;
	o->kills = cgroup_oom_kills(k->oom_file, k->oom_v1);
	o->file = open(k->oom_file, O_RDONLY | O_CLOEXEC);
	if (o->file < 0)
		return;
	if (!k->oom_v1) {
		char byte;
		o->fd = o->file;
		o->events = POLLPRI;
		if (read(o->fd, &byte, 1) < 0)
			o->fd = -1;
		return;
	}
	char path[4096], text[64];
	const char *slash = strrchr(k->oom_file, '/');
	o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(path, sizeof path, "%.*s/cgroup.event_control", slash ? (int)(slash - k->oom_file) : 0, k->oom_file);
	snprintf(text, sizeof text, "%d %d", o->fd, o->file);
	if (o->fd >= 0 && write_file_at(AT_FDCWD, path, text) < 0)
		close_fd(&o->fd);
	o->events = POLLIN;
}

static void oom_notice(struct keeper *k, struct oom *o)
{
	char buf[256];
	if (!k->oom_v1 && lseek(o->fd, 0, SEEK_SET) < 0)
		return;
	if (read(o->fd, buf, sizeof buf) < 0 && errno != EAGAIN)
		o->events = 0;
	/* Notices that keep coming do not put it off. */
	if (!o->check_at)
		o->check_at = clock_us() + OOM_SETTLE_MS * 1000ULL;
}

static uint64_t oom_count(struct keeper *k, struct oom *o)
{
	char fields[64];
	o->check_at = 0;
	uint64_t now = *k->oom_file ? cgroup_oom_kills(k->oom_file, k->oom_v1) : 0;
	if (now > o->kills) {
		o->kills = now;
		snprintf(fields, sizeof fields, ",\"oomKills\":%llu", (unsigned long long)now);
		end_event(k, "oom", fields);
	}
	return o->kills;
}

/* The sooner of two times of which 0 is never. */
static uint64_t soonest(uint64_t a, uint64_t b)
{
	return a == 0 ? b : b == 0 || a < b ? a : b;
}

/* Milliseconds until the nearest of what is due, -1 for never. */
static int timeout_until(uint64_t a, uint64_t b)
{
	uint64_t due = soonest(a, b), now = clock_us();
	if (due == 0)
		return -1;
	return due <= now ? 0 : (int)((due - now) / 1000) + 1;
}

/* A guest that was started for its caller's sake ends with it. */
static void caller_gone(struct keeper *k)
{
	close_fd(&k->control);
	(void)sys_pidfd_send_signal(k->pidfd, SIGKILL);
}

/* One turn of the loop: serves console, clients and notices, and returns whether fd watch became readable. */
static bool turn(struct keeper *k, struct oom *o, int watch)
{
	enum { WATCH, CONTROL, MASTER, LISTEN, OOM, FIRST_CLIENT };
	struct pollfd fds[FIRST_CLIENT + KEEPER_CLIENTS] = {
		[WATCH] = {watch, POLLIN, 0},
		[CONTROL] = {k->control, POLLIN, 0},
		[MASTER] = {console.reopen_at || console.read_at ? -1 : k->pty.master, (short)(POLLIN | (clients_stuck() ? POLLOUT : 0)), 0},
		[LISTEN] = {k->listen, POLLIN, 0},
		[OOM] = {o->events ? o->fd : -1, o->events, 0},
	};
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		fds[FIRST_CLIENT + i] = (struct pollfd){clients[i].fd, client_events(&clients[i]), 0};
	if (poll(fds, FIRST_CLIENT + KEEPER_CLIENTS, timeout_until(soonest(console.reopen_at, console.read_at), o->check_at)) < 0)
		return false;
	uint64_t now = clock_us();
	if (console.reopen_at && now >= console.reopen_at)
		console_reopen(k, now);
	if (fds[CONTROL].revents)
		caller_gone(k);
	if (console.read_at && now >= console.read_at)
		console.read_at = 0;
	if (fds[MASTER].revents & (POLLIN | POLLHUP | POLLERR))
		console_read(k);
	if (fds[MASTER].revents & POLLOUT)
		clients_unstick(k);
	if (fds[OOM].revents)
		oom_notice(k, o);
	if (o->check_at && now >= o->check_at)
		oom_count(k, o);
	for (int i = 0; i < KEEPER_CLIENTS; i++)
		if (clients[i].fd >= 0 && fds[FIRST_CLIENT + i].fd == clients[i].fd && fds[FIRST_CLIENT + i].revents)
			client_ready(k, &clients[i], fds[FIRST_CLIENT + i].revents);
	if (fds[LISTEN].revents & POLLIN)
		clients_accept(k);
	return fds[WATCH].revents != 0;
}

/* Takes the container's lock while clients are still served: whoever holds it may be one of them. A flock belongs to
 * the open description, so a forked process can do the waiting. */
static void take_lock(struct keeper *k, struct oom *o)
{
	if (flock(k->lock, LOCK_EX | LOCK_NB) == 0)
		return;
	int pidfd = -1;
	struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
	pid_t self = getpid(), pid = sys_clone3(&args);
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != self)
			_exit(1);
		while (flock(k->lock, LOCK_EX) < 0 && errno == EINTR)
			;
		_exit(0);
	}
	if (pid < 0) { /* no process to be had: wait here */
		while (flock(k->lock, LOCK_EX) < 0 && errno == EINTR)
			;
		return;
	}
	while (!turn(k, o, pidfd))
		;
	siginfo_t info;
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	close(pidfd);
}

/* Lets go of the pages of code that only the start needed; what the loop needs comes back from the page cache. Code
 * is never written to (position independent, no text relocations), so nothing is lost. */
static void forget_start(void)
{
	extern char __executable_start[], etext[];
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1, begin = (uintptr_t)__executable_start;
	/* Failing, it costs some shared memory. */
	(void)madvise(__executable_start, (((uintptr_t)etext & ~page) - begin), MADV_DONTNEED);
}

void keeper_run(struct keeper *k)
{
	struct oom oom;
	bool reboot = false;
	(void)prctl(PR_SET_NAME, "berth-keeper");
	forget_start();
	clients_init();
	oom_watch(k, &oom);
	while (!turn(k, &oom, k->pidfd))
		;
	console_drain(k);
	end_record(k, oom_count(k, &oom), &reboot);
	oom.events = 0;
	take_lock(k, &oom);
	if (!end_release(k))
		_exit(0);
	clients_say_gone();
	clients_flush(k, FLUSH_MS);
	if (reboot && k->reboot[0])
		end_reboot(k);
	_exit(0);
}
