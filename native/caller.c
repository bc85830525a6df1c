/* caller.c - what verbs that carry out a plan leave behind of who called them, and how they tell that they failed. */
#include "caller.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

static int leave_signals(void)
{
	static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGALRM};
	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		if (signal(ignored[i], SIG_IGN) == SIG_ERR)
			return fail("setup", "signal %d", ignored[i]);
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR)
		return fail("setup", "SIGCHLD");
	sigset_t none;
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? fail("setup", "signal mask") : 0;
}

int caller_leave(int last)
{
	if (close_range((unsigned)last + 1, ~0U, 0) < 0)
		return fail("setup", "close_range");
	for (int fd = 0; fd <= last; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && (fd != 2 || open("/dev/null", O_RDWR) != 2))
			return fail("setup", "fd %d is not open", fd);
		if (fd > 2 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return fail("setup", "fd %d", fd);
	}
	if (leave_signals() < 0)
		return -1;
	umask(0);
	return chdir("/") < 0 ? fail("setup", "chdir") : 0;
}

int caller_leave_mounts(int *host)
{
	*host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (*host < 0 || unshare(CLONE_NEWNS) < 0)
		return fail("mount-namespace", "unshare");
	return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ? fail("mount-namespace", "/") : 0;
}

/* One line: what a guest's path or a kernel message may hold is made harmless. */
int caller_told(void)
{
	for (char *c = failure.text; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > 126)
			*c = ' ';
	(void)dprintf(STATUS_FD, "error %s %d %s\n", failure.step, failure.err, failure.text);
	return 1;
}
