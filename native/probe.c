/* probe.c - verb `probe`: a process with what guests have open, for criu to be tried on: a listening TCP socket in a
 * network namespace of its own, an armed timer, a watched directory. Says its pid and waits to be ended. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "caller.h"
#include "util.h"
#include "verbs.h"

static int open_socket(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7000)};
	if (unshare(CLONE_NEWNET) < 0)
		return fail("probe", "network namespace");
	int sock = socket(AF_INET, SOCK_STREAM, 0);
	if (sock < 0 || bind(sock, (struct sockaddr *)&any, sizeof any) < 0 || listen(sock, 1) < 0)
		return fail("probe", "TCP socket");
	return 0;
}

static int open_others(void)
{
	const struct itimerspec hour = {.it_value = {.tv_sec = 3600}};
	int timer = timerfd_create(CLOCK_MONOTONIC, 0), watch = inotify_init1(0);
	if (timer < 0 || timerfd_settime(timer, 0, &hour, NULL) < 0)
		return fail("probe", "timerfd");
	return watch < 0 || inotify_add_watch(watch, "/", IN_DELETE_SELF) < 0 ? fail("probe", "inotify") : 0;
}

int probe_main(int argc, char **argv)
{
	(void)argc, (void)argv;
	if (caller_leave(STATUS_FD + 1) < 0 || setsid() < 0 || open_socket() < 0 || open_others() < 0)
		return caller_told();
	int null = open("/dev/null", O_RDWR);
	(void)dprintf(STATUS_FD, "ok %d\n", (int)getpid());
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			return 1;
	for (;;)
		pause();
}
