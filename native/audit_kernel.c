/* audit_kernel.c - the kernel's switches and secrets below /proc and /sys. A switch is opened for writing and closed again. */
#include "audit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MOST_LINES = 200 };

/* What was opened is the kernel's own file and no cover over it. */
static int open_kernel_file(const char *path, int flags)
{
	struct statfs fs;
	int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstatfs(fd, &fs) == 0 && (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC || fs.f_type == DEBUGFS_MAGIC))
		return fd;
	close(fd);
	errno = ENOTTY;
	return -1;
}

static struct result opened(const char *path, int flags)
{
	int fd = open_kernel_file(path, flags);
	if (fd < 0)
		return errno == ENOTTY ? blocked(0, "covered") : failed();
	close(fd);
	return through("");
}

static struct result open_switch(const struct attempt *a)
{
	return opened(a->path, O_WRONLY);
}

/* "DIR/STAR/REST": the first entry of DIR below which REST can be tried. */
static struct result open_first(const struct attempt *a)
{
	char dir[128], path[512];
	const char *star = strchr(a->path, '*');
	struct result r = blocked(ENOENT, "");
	if (!star || (size_t)(star - a->path) >= sizeof dir)
		return r;
	memcpy(dir, a->path, (size_t)(star - a->path));
	dir[star - a->path] = '\0';
	DIR *d = opendir(dir);
	if (!d)
		return failed();
	for (struct dirent *e; (e = readdir(d)) && !r.through;) {
		if (e->d_name[0] == '.' || snprintf(path, sizeof path, "%s%s%s", dir, e->d_name, star + 1) >= (int)sizeof path)
			continue;
		struct result one = opened(path, O_WRONLY);
		if (one.through || one.err != ENOENT)
			r = one;
	}
	closedir(d);
	return r;
}

static struct result read_some(const struct attempt *a)
{
	uint64_t some; /* /proc/kpageflags is read by eight bytes */
	int fd = open_kernel_file(a->path, O_RDONLY);
	if (fd < 0)
		return errno == ENOTTY ? blocked(0, "covered") : failed();
	ssize_t n = pread(fd, &some, sizeof some, 0);
	int err = errno;
	close(fd);
	return n > 0 ? through("") : blocked(n < 0 ? err : 0, n == 0 ? "empty" : "");
}

/* Opening is all: reading would take the messages from their reader. */
static struct result open_reader(const struct attempt *a)
{
	return opened(a->path, O_RDONLY);
}

/* Addresses are shown as zeros to those who may not see them. A line begins with one, or with a range of two. */
static struct result read_addresses(const struct attempt *a)
{
	char line[512];
	int fd = open_kernel_file(a->path, O_RDONLY);
	if (fd < 0)
		return errno == ENOTTY ? blocked(0, "covered") : failed();
	FILE *f = fdopen(fd, "r");
	bool seen = false;
	for (int i = 0; f && i < MOST_LINES && !seen && fgets(line, sizeof line, f); i++) {
		char *end;
		seen = strtoull(line, &end, 16) != 0 || (*end == '-' && strtoull(end + 1, NULL, 16) != 0);
	}
	if (f)
		fclose(f);
	return seen ? through("") : blocked(0, "shown as zeros");
}

#define SWITCH(ID, WHAT, PATH, CONTROL) {.id = ID, .what = WHAT, .cve = "", .control = CONTROL, .run = open_switch, .path = PATH}
#define ROOT_OPENS "the host's root opens it for writing"

const struct attempt kernel_attempts[] = {
	SWITCH("sysrq-trigger", "reboot, crash or kill on the host by /proc/sysrq-trigger", "/proc/sysrq-trigger", ROOT_OPENS),
	SWITCH("sysrq-enable", "allow the keys of sysrq", "/proc/sys/kernel/sysrq", ROOT_OPENS),
	SWITCH("core-pattern", "have a program run as the host's root when one crashes", "/proc/sys/kernel/core_pattern", ROOT_OPENS),
	SWITCH("modprobe-path", "have a program run as the host's root instead of modprobe", "/proc/sys/kernel/modprobe", ROOT_OPENS),
	SWITCH("hotplug-path", "have a program run as the host's root for each device (uevent_helper)", "/sys/kernel/uevent_helper",
	       ROOT_OPENS ", where CONFIG_UEVENT_HELPER is set"),
	SWITCH("usermodehelper", "widen the capabilities of programs that the kernel starts", "/proc/sys/kernel/usermodehelper/bset",
	       ROOT_OPENS),
	SWITCH("panic-on-oops", "turn a small fault into a crash of the host", "/proc/sys/kernel/panic_on_oops", ROOT_OPENS),
	SWITCH("randomize-va", "turn off address randomisation for the host", "/proc/sys/kernel/randomize_va_space", ROOT_OPENS),
	SWITCH("perf-paranoid", "open perf events to everybody", "/proc/sys/kernel/perf_event_paranoid", ROOT_OPENS),
	SWITCH("kptr-restrict", "uncover the kernel's addresses", "/proc/sys/kernel/kptr_restrict", ROOT_OPENS),
	SWITCH("overcommit", "change how the host gives out memory", "/proc/sys/vm/overcommit_memory", ROOT_OPENS),
	SWITCH("drop-caches", "throw away the host's caches", "/proc/sys/vm/drop_caches", ROOT_OPENS),
	SWITCH("mmap-min-addr", "let programs map the address 0", "/proc/sys/vm/mmap_min_addr", ROOT_OPENS),
	SWITCH("file-max", "change the host's limit of open files", "/proc/sys/fs/file-max", ROOT_OPENS),
	SWITCH("protected-links", "turn off the protection of links in /tmp", "/proc/sys/fs/protected_symlinks", ROOT_OPENS),
	SWITCH("suid-dumpable", "have set-uid programs dump core", "/proc/sys/fs/suid_dumpable", ROOT_OPENS),
	SWITCH("bpf-jit", "change how the host compiles bpf programs", "/proc/sys/net/core/bpf_jit_enable",
	       ROOT_OPENS " in the first network namespace"),
	SWITCH("irq-affinity", "move the host's interrupts", "/proc/irq/default_smp_affinity", ROOT_OPENS),
	SWITCH("scsi-remove", "take a disk from the host by /proc/scsi/scsi", "/proc/scsi/scsi", ROOT_OPENS ", where there is SCSI"),
	SWITCH("acpi-wakeup", "change what wakes the host", "/proc/acpi/wakeup", ROOT_OPENS ", where there is ACPI"),
	SWITCH("power-state", "put the host to sleep", "/sys/power/state", ROOT_OPENS ", where it can sleep"),
	SWITCH("huge-pages", "change how the host uses huge pages", "/sys/kernel/mm/transparent_hugepage/enabled", ROOT_OPENS),
	SWITCH("ksm", "have the host merge equal pages: a way to read a neighbour's", "/sys/kernel/mm/ksm/run", ROOT_OPENS),
	SWITCH("kexec-crash-size", "take away the memory kept for a crash kernel", "/sys/kernel/kexec_crash_size", ROOT_OPENS),
	SWITCH("cpu-offline", "take a processor from the host", "/sys/devices/system/cpu/cpu1/online",
	       ROOT_OPENS ", where processors can leave"),
	SWITCH("pci-rescan", "rescan, add or remove PCI devices", "/sys/bus/pci/rescan", ROOT_OPENS ", where there is PCI"),
	SWITCH("profiling", "turn on the profiling of the host", "/sys/kernel/profiling", ROOT_OPENS),
	{.id = "module-parameter", .what = "change a parameter of a kernel module", .cve = "",
	 .control = ROOT_OPENS " (printk's)", .run = open_switch, .path = "/sys/module/printk/parameters/time"},
	{.id = "disk-queue", .what = "change the queue of the host's disk", .cve = "", .control = ROOT_OPENS, .run = open_first,
	 .path = "/sys/block/*/queue/nr_requests"},
	{.id = "pci-config", .what = "write to the configuration space of a PCI device", .cve = "",
	 .control = ROOT_OPENS ", where there is PCI", .run = open_first, .path = "/proc/bus/pci/00/*"},
	{.id = "thermal", .what = "change a cooling device of the host", .cve = "", .control = ROOT_OPENS ", where there is one",
	 .run = open_first, .path = "/sys/class/thermal/*/cur_state"},
	{.id = "kcore", .what = "read the host's memory by /proc/kcore", .cve = "", .control = "the host's root reads its first byte",
	 .run = read_some, .path = "/proc/kcore"},
	{.id = "proc-kmsg", .what = "take the kernel's messages by /proc/kmsg", .cve = "", .control = "the host's root opens it",
	 .run = open_reader, .path = "/proc/kmsg"},
	{.id = "kallsyms", .what = "read the addresses of the kernel's functions", .cve = "",
	 .control = "the host's root sees them, while kptr_restrict is below 2", .run = read_addresses, .path = "/proc/kallsyms"},
	{.id = "iomem", .what = "read the layout of physical memory", .cve = "", .control = "the host's root sees it",
	 .run = read_addresses, .path = "/proc/iomem"},
	{.id = "kpageflags", .what = "read what each page of physical memory holds", .cve = "", .control = "the host's root reads it",
	 .run = read_some, .path = "/proc/kpageflags"},
	{.id = "slabinfo", .what = "watch the kernel's allocations", .cve = "", .control = "the host's root reads it",
	 .run = read_some, .path = "/proc/slabinfo"},
	{.id = "vmallocinfo", .what = "read addresses by /proc/vmallocinfo", .cve = "", .control = "the host's root reads it",
	 .run = read_some, .path = "/proc/vmallocinfo"},
	{.id = "timer-list", .what = "read the host's timers, with whose they are", .cve = "", .control = "the host's root reads it",
	 .run = read_some, .path = "/proc/timer_list"},
	{.id = "dmi", .what = "read the firmware's tables", .cve = "", .control = "the host's root reads them, where there is DMI",
	 .run = read_some, .path = "/sys/firmware/dmi/tables/DMI"},
	{0},
};
