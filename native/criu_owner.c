/* criu_owner.c - berth-criu.so, laid into criu by LD_PRELOAD: two of its system calls are made as the user who owns, or
 * shall own, the guest's user namespace (BERTH_OWNER, start.c: own_namespace):
 *
 * - clone3 with CLONE_NEWUSER: else the host's root would own the restored guest's namespace, and all such guests would
 *   share one account of what the kernel counts (inotify, fanotify, namespaces);
 * - prlimit64 that was refused: whoever owns a namespace may ask there also where the host's root lacks CAP_SYS_RESOURCE.
 *
 * Stands on no libc, so that it fits that of whatever criu: what it needs beside system calls is resolved at load time. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

extern char **environ;
long syscall(long number, ...);

#if defined(__x86_64__)
static long raw(long n, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static long raw(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#else
#error "system calls of this processor are not known"
#endif

/* BERTH_OWNER, a decimal user id; 0 when there is none. */
static long owner(void)
{
	static const char key[] = "BERTH_OWNER=";
	for (char **entry = environ; entry && *entry; entry++) {
		size_t i = 0;
		long uid = 0;
		while (key[i] && (*entry)[i] == key[i])
			i++;
		if (key[i])
			continue;
		for (; (*entry)[i] >= '0' && (*entry)[i] <= '9' && uid < INT32_MAX; i++)
			uid = uid * 10 + ((*entry)[i] - '0');
		return uid;
	}
	return 0;
}

/* All capabilities stay, and the real user does. The kernel forgets two settings at a change of users: criu reads its own
 * /proc, and dies with berth-launch. */
static long act_as(long uid)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];
	long result = raw(SYS_setresuid, -1, uid, -1, 0, 0, 0);
	if (result == 0)
		result = raw(SYS_capget, (long)&head, (long)sets, 0, 0, 0, 0);
	if (result < 0)
		return result;
	sets[0].effective = sets[0].permitted;
	sets[1].effective = sets[1].permitted;
	result = raw(SYS_capset, (long)&head, (long)sets, 0, 0, 0, 0);
	(void)raw(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0, 0);
	(void)raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
	return result;
}

/* In the child of a clone nothing is to be taken back: it becomes its namespace's root. */
static long as_owner(long n, const long a[6])
{
	long uid = owner();
	if (uid == 0)
		return raw(n, a[0], a[1], a[2], a[3], a[4], a[5]);
	long result = act_as(uid);
	if (result == 0)
		result = raw(n, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (n == SYS_clone3 && result == 0)
		return 0;
	if (act_as(0) < 0)
		(void)raw(SYS_exit_group, 1, 0, 0, 0, 0, 0);
	return result;
}

static int makes_user_namespace(long n, const long a[6])
{
	return n == SYS_clone3 && (((const struct clone_args *)(uintptr_t)a[0])->flags & CLONE_NEWUSER) != 0;
}

long syscall(long n, ...)
{
	long a[6];
	va_list args;
	va_start(args, n);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	long result = makes_user_namespace(n, a) ? as_owner(n, a) : raw(n, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (n == SYS_prlimit64 && result == -EPERM)
		result = as_owner(n, a);
	if (result >= 0 || result < -4095)
		return result;
	errno = (int)-result;
	return -1;
}
