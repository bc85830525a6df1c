/* audit_calls.c - system calls that reach the whole machine. Their arguments are wrong in a way that the kernel finds out right
 * behind the check of permission, or change nothing. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOWHERE "/nonexistent-berth-audit"

static struct result closed(long fd)
{
	if (fd < 0)
		return failed();
	close((int)fd);
	return through("");
}

/* kernel/printk: READ_ALL is free to all unless dmesg_restrict is set, SIZE_UNREAD never is, CONSOLE_LEVEL refuses length 0. */
static struct result call_syslog(const struct attempt *a)
{
	char buf[16];
	return passed_with(syscall(SYS_syslog, a->number, a->number == 3 ? buf : NULL, a->number == 3 ? 1 : 0), EINVAL);
}

/* kernel/kexec.c, kexec_load_check: permission first, then the flags. */
static struct result call_kexec(const struct attempt *a)
{
	(void)a;
	return passed_with(syscall(SYS_kexec_load, 0, 0, NULL, 0x8000), EINVAL);
}

static struct result call_kexec_file(const struct attempt *a)
{
	(void)a;
	return passed_with(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 0x8000), EINVAL);
}

static struct result call_init_module(const struct attempt *a)
{
	static const char garbage[4] = "bert";
	(void)a;
	return passed_with(syscall(SYS_init_module, garbage, sizeof garbage, ""), ENOEXEC);
}

static struct result call_finit_module(const struct attempt *a)
{
	(void)a;
	return passed_with(syscall(SYS_finit_module, -1, "", 0), EBADF);
}

static struct result call_delete_module(const struct attempt *a)
{
	(void)a;
	return passed_with(syscall(SYS_delete_module, "no_such_module_berth_audit", O_NONBLOCK), ENOENT);
}

static struct result call_bpf_load(const struct attempt *a)
{
	/* r0 = 0; exit */
	static const struct bpf_insn program[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
			       .insn_cnt = 2,
			       .insns = (uint64_t)(uintptr_t)program,
			       .license = (uint64_t)(uintptr_t)"GPL"};
	(void)a;
	return closed(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr));
}

/* ENOENT: there is none, but it may be looked for. */
static struct result call_bpf_others(const struct attempt *a)
{
	union bpf_attr attr = {0};
	(void)a;
	return passed_with(syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &attr, sizeof attr), ENOENT);
}

static struct result call_perf(const struct attempt *a)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_CPU_CLOCK, .disabled = 1};
	(void)a;
	return closed(syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC));
}

static struct result call_userfaultfd(const struct attempt *a)
{
	(void)a;
	return closed(syscall(SYS_userfaultfd, O_CLOEXEC));
}

static struct result call_io_uring(const struct attempt *a)
{
	char params[120] = {0}; /* struct io_uring_params */
	(void)a;
	return closed(syscall(SYS_io_uring_setup, 1, params));
}

static struct result call_fanotify(const struct attempt *a)
{
	(void)a;
	return closed(syscall(SYS_fanotify_init, FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY));
}

static struct result call_keyring(const struct attempt *a)
{
	char buf[64] = "";
	const char *secret = fact("secret");
	(void)a;
	long n = syscall(SYS_keyctl, KEYCTL_READ, fact_number("key"), buf, sizeof buf - 1);
	if (n < 0)
		return failed();
	return secret && strcmp(buf, secret) == 0 ? through("") : blocked(0, "another key");
}

static struct result read_key_names(const struct attempt *a)
{
	char line[512];
	const char *name = fact("name");
	FILE *f = fopen("/proc/keys", "re");
	bool seen = false;
	(void)a;
	if (!f)
		return failed();
	while (!seen && name && fgets(line, sizeof line, f))
		seen = strstr(line, name) != NULL;
	fclose(f);
	return seen ? through("") : blocked(0, "not shown");
}

static struct result call_swapon(const struct attempt *a)
{
	(void)a;
	return passed_with(swapon(NOWHERE, 0), ENOENT);
}

static struct result call_swapoff(const struct attempt *a)
{
	(void)a;
	return passed_with(swapoff(NOWHERE), ENOENT);
}

static struct result call_acct(const struct attempt *a)
{
	(void)a;
	return passed_with(acct(NOWHERE), ENOENT);
}

#define CALL(ID, WHAT, RUN, CONTROL) {.id = ID, .what = WHAT, .cve = "", .control = CONTROL, .run = RUN}
#define ROOT_PASSES "the host's root gets past the check of permission"

const struct attempt call_attempts[] = {
	{.id = "dmesg", .what = "read the kernel's log by syslog(2)", .cve = "", .control = "the host's root reads a byte of it",
	 .run = call_syslog, .number = 3},
	{.id = "log-size", .what = "ask for what is unread of the kernel's log", .cve = "", .control = ROOT_PASSES, .run = call_syslog,
	 .number = 9},
	{.id = "log-level", .what = "change what the kernel prints on the host's console", .cve = "", .control = ROOT_PASSES,
	 .run = call_syslog, .number = 8},
	CALL("kexec", "boot another kernel by kexec_load(2)", call_kexec, ROOT_PASSES),
	CALL("kexec-file", "boot another kernel by kexec_file_load(2)", call_kexec_file, ROOT_PASSES),
	CALL("init-module", "load a kernel module from memory", call_init_module, ROOT_PASSES),
	CALL("finit-module", "load a kernel module from a file", call_finit_module, ROOT_PASSES),
	CALL("delete-module", "unload a kernel module", call_delete_module, ROOT_PASSES),
	CALL("bpf-load", "load a bpf program", call_bpf_load, "the host's root loads `return 0`, and unloads it"),
	CALL("bpf-others", "list the bpf programs of the host", call_bpf_others, "the host's root sees the first"),
	CALL("perf", "watch every process of a processor by perf_event_open(2)", call_perf, "the host's root opens a counter"),
	CALL("userfaultfd", "stop the kernel at a page fault by userfaultfd(2)", call_userfaultfd, "the host's root gets one"),
	CALL("io-uring", "get around the filter of system calls by io_uring", call_io_uring, "the host's root gets a ring"),
	CALL("fanotify", "hold up the host's file accesses by fanotify", call_fanotify, "the host's root gets a group that decides"),
	CALL("keyring-read", "read a key of the host's by its number", call_keyring, "the host's root reads the canary's key"),
	CALL("keyring-names", "find the host's keys in /proc/keys", read_key_names, "the host's root sees the canary's key"),
	CALL("swapon", "add swap space to the host", call_swapon, ROOT_PASSES),
	CALL("swapoff", "take swap space from the host", call_swapoff, ROOT_PASSES),
	CALL("accounting", "have the host write process accounting to a file", call_acct, ROOT_PASSES),
	{0},
};
