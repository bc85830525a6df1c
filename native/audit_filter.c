/* audit_filter.c - ways around the filter of system calls, and what it forbids besides: other calling conventions, newer calls,
 * namespaces in namespaces. */
#include "audit.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct result call_unshare(const struct attempt *a)
{
	return unshare((int)a->number) == 0 ? through("") : failed();
}

/* The flags lie in memory, where no filter sees them. */
static struct result call_clone3(const struct attempt *a)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	(void)a;
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return failed();
	(void)waitpid(pid, NULL, 0);
	return through("");
}

/* Not bound to anything: having one is all. Its addresses know no namespace. */
static struct result call_socket(const struct attempt *a)
{
	int fd = socket((int)a->number, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A filter may look at bits that the kernel leaves out. */
	if (fd < 0)
		fd = (int)syscall(SYS_socket, a->number | 1L << 32, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return failed();
	close(fd);
	return through("");
}

#ifdef __x86_64__
static long call_32(long number, long first, long second, long third)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory", "r8", "r9", "r10", "r11");
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

/* arch/x86/entry/syscalls/syscall_32.tbl */
static struct result syslog_32(const struct attempt *a)
{
	(void)a;
	return passed_with(call_32(103, 8, 0, 0), EINVAL);
}

static struct result unshare_32(const struct attempt *a)
{
	(void)a;
	return call_32(310, CLONE_NEWUSER, 0, 0) == 0 ? through("") : failed();
}

static struct result module_32(const struct attempt *a)
{
	(void)a;
	return passed_with(call_32(350, -1, 0, 0), EBADF);
}

/* arch/x86/include/uapi/asm/unistd.h: __X32_SYSCALL_BIT */
static struct result syslog_x32(const struct attempt *a)
{
	(void)a;
	return passed_with(syscall(0x40000000 | SYS_syslog, 8, NULL, 0), EINVAL);
}
#endif

const struct attempt filter_attempts[] = {
	{.id = "nested-user", .what = "get every capability anew in a user namespace", .cve = "CVE-2022-0185",
	 .control = "the host's root gets one", .run = call_unshare, .number = CLONE_NEWUSER},
	{.id = "nested-net", .what = "get a network of its own: raw access to old protocols", .cve = "CVE-2017-7308",
	 .control = "the host's root gets one", .run = call_unshare, .number = CLONE_NEWNET},
	{.id = "nested-cgroup", .what = "shift the root of its cgroups", .cve = "CVE-2022-0492", .control = "the host's root gets one",
	 .run = call_unshare, .number = CLONE_NEWCGROUP},
	{.id = "clone3", .what = "get a user namespace by clone3, past the filter", .cve = "", .control = "the host's root gets one",
	 .run = call_clone3},
	{.id = "vsock", .what = "speak with the machine's hypervisor by vsock", .cve = "", .control = "the host's root gets a socket",
	 .run = call_socket, .number = AF_VSOCK},
#ifdef __x86_64__
	{.id = "syslog-i386", .what = "reach the kernel's log by a 32-bit call", .cve = "",
	 .control = "the host's root gets past the check of permission", .run = syslog_32},
	{.id = "nested-user-i386", .what = "get a user namespace by a 32-bit call", .cve = "", .control = "the host's root gets one",
	 .run = unshare_32},
	{.id = "module-i386", .what = "load a kernel module by a 32-bit call", .cve = "",
	 .control = "the host's root gets past the check of permission", .run = module_32},
	{.id = "syslog-x32", .what = "reach the kernel's log by an x32 call", .cve = "",
	 .control = "the host's root gets past the check of permission, where the kernel has x32", .run = syslog_x32},
#endif
	{0},
};
