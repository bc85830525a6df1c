/* audit_machine.c - the machine's clock, power and ports, and precedence over all others on it. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#ifdef __x86_64__
#include <sys/io.h>
#endif

/* kernel/time: permission, then the range of the zone. */
static struct result call_settimeofday(const struct attempt *a)
{
	struct timezone zone = {.tz_minuteswest = 9999};
	(void)a;
	return passed_with(syscall(SYS_settimeofday, NULL, &zone), EINVAL);
}

/* timekeeping_validate_timex: permission, then the range of the tick. */
static struct result call_adjtime(const struct attempt *a)
{
	struct timex t = {.modes = ADJ_TICK, .tick = 1};
	(void)a;
	return passed_with(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &t), EINVAL);
}

static struct result call_wake_alarm(const struct attempt *a)
{
	int timer;
	(void)a;
	if (syscall(SYS_timer_create, CLOCK_REALTIME_ALARM, NULL, &timer) < 0)
		return failed();
	syscall(SYS_timer_delete, timer);
	return through("");
}

/* Ctrl-Alt-Del is set to what it is. In a pid namespace of its own a guest has none, and the kernel refuses the command. */
static struct result call_reboot(const struct attempt *a)
{
	char now;
	int fd = open("/proc/sys/kernel/ctrl-alt-del", O_RDONLY | O_CLOEXEC);
	(void)a;
	if (fd < 0)
		return failed();
	ssize_t n = read(fd, &now, 1);
	close(fd);
	if (n != 1 || (now != '0' && now != '1'))
		return blocked(0, "its state cannot be read");
	return reboot(now == '1' ? RB_ENABLE_CAD : RB_DISABLE_CAD) == 0 ? through("") : failed();
}

static struct result call_realtime(const struct attempt *a)
{
	struct sched_param param = {.sched_priority = 1};
	(void)a;
	if (sched_setscheduler(0, SCHED_FIFO, &param) < 0)
		return failed();
	param.sched_priority = 0;
	(void)sched_setscheduler(0, SCHED_OTHER, &param);
	return through("");
}

static struct result call_nice(const struct attempt *a)
{
	(void)a;
	return setpriority(PRIO_PROCESS, 0, -20) == 0 ? through("") : failed();
}

static struct result call_ioprio(const struct attempt *a)
{
	(void)a;
	return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 0)) == 0 ? through("") : failed();
}

/* Down by one is allowed, up again is not. */
static struct result call_rlimit(const struct attempt *a)
{
	struct rlimit limit;
	(void)a;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < 2)
		return failed();
	limit.rlim_max--;
	limit.rlim_cur = limit.rlim_cur > limit.rlim_max ? limit.rlim_max : limit.rlim_cur;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return failed();
	limit.rlim_max++;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? through("") : failed();
}

static struct result write_oom_score(const struct attempt *a)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	(void)a;
	if (fd < 0)
		return failed();
	ssize_t n = write(fd, "-1000", 5);
	int err = errno;
	close(fd);
	return n == 5 ? through("") : blocked(err, "");
}

#ifdef __x86_64__
/* Port access is taken and given back; no port is touched. */
static struct result call_iopl(const struct attempt *a)
{
	(void)a;
	if (iopl(3) < 0)
		return failed();
	(void)iopl(0);
	return through("");
}

static struct result call_ioperm(const struct attempt *a)
{
	(void)a;
	if (ioperm(0x80, 1, 1) < 0)
		return failed();
	(void)ioperm(0x80, 1, 0);
	return through("");
}
#endif

#define CALL(ID, WHAT, RUN, CONTROL) {.id = ID, .what = WHAT, .cve = "", .control = CONTROL, .run = RUN}
#define ROOT_PASSES "the host's root gets past the check of permission"

const struct attempt machine_attempts[] = {
	CALL("set-clock", "set the host's clock or time zone", call_settimeofday, ROOT_PASSES),
	CALL("adjust-clock", "make the host's clock run wrong", call_adjtime, ROOT_PASSES),
	CALL("wake-alarm", "wake the host from sleep", call_wake_alarm, "the host's root gets such a timer, where there is a clock"),
	CALL("reboot", "reboot the host, or change its Ctrl-Alt-Del", call_reboot, "the host's root sets Ctrl-Alt-Del to what it is"),
	CALL("realtime", "keep the processors from all others by SCHED_FIFO", call_realtime, "the host's root gets it"),
	CALL("nice", "run before all others of the host (nice -20)", call_nice, "the host's root gets it"),
	CALL("io-priority", "have the disk before all others", call_ioprio, "the host's root gets it"),
	CALL("raise-rlimit", "raise a hard resource limit", call_rlimit, "the host's root raises it, with CAP_SYS_RESOURCE"),
	CALL("oom-immune", "be spared when the host runs out of memory", write_oom_score,
	     "the host's root sets -1000, with CAP_SYS_RESOURCE"),
#ifdef __x86_64__
	CALL("iopl", "use all i/o ports", call_iopl, "the host's root gets them"),
	CALL("ioperm", "use one i/o port", call_ioperm, "the host's root gets it"),
#endif
	{0},
};
