/**
 * What a guest may do and see, as data: capabilities, devices, system calls, mounts, masks. Nothing here acts;
 * plan.ts turns it into records. The user namespace, seccomp, the device rules and (where there is one) AppArmor are
 * the boundary; masks are a courtesy on top, because the guest's root can unmount them.
 */

/** Device nodes on the guest's root file system: name, major, minor (Documentation/admin-guide/devices.txt). */
export const deviceNodes = [
  ["null", 1, 3],
  ["zero", 1, 5],
  ["full", 1, 7],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["tty", 5, 0],
] as const;

/** What the guest's cgroup may open: those nodes, ptmx, and the ptys. All else is denied. */
export const deviceRules = [
  ...deviceNodes.map(([, major, minor]) => ({ type: "c" as const, major, minor, access: "rwm" })),
  { type: "c" as const, major: 5, minor: 2, access: "rwm" },
  { type: "c" as const, major: 136, minor: undefined, access: "rw" },
];

export const deviceLinks = [
  ["ptmx", "pts/ptmx"],
  ["console", "berth/0"],
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
] as const;

/** Capabilities by number (linux/capability.h) that no guest keeps, whatever its user namespace. */
const neverKept: readonly number[] = [
  16, // sys_module
  17, // sys_rawio
  20, // sys_pacct
  25, // sys_time
  32, // mac_override
  33, // mac_admin
  34, // syslog
  35, // wake_alarm
  36, // block_suspend
  37, // audit_read
  38, // perfmon
  39, // bpf
  40, // checkpoint_restore
];

/** Without a user namespace these reach the host as well: quota and rlimits of others, handles of any file, raw i/o. */
const notWhenPrivileged: readonly number[] = [
  2, // dac_read_search: open_by_handle_at walks out of the root
  24, // sys_resource: passes the disk quota
];

const LAST_CAPABILITY = 40;

/** What the kernel asks of whoever loads AppArmor profiles; in a user namespace it reaches the guest's own alone. */
const MAC_ADMIN = 33;

type CapabilityChoice = { readonly privileged: boolean; readonly apparmor: "auto" | "stacked" | "none" };

/** Capabilities that stay in the bounding set. */
export const boundingSet = ({ privileged, apparmor }: CapabilityChoice): number[] =>
  Array.from({ length: LAST_CAPABILITY + 1 }, (_, capability) => capability).filter(
    (capability) =>
      (capability === MAC_ADMIN && apparmor === "stacked" && !privileged) ||
      (!neverKept.includes(capability) && !(privileged && notWhenPrivileged.includes(capability))),
  );

/** Directories of the host's kernel that hold nothing for a guest: covered, and denied by AppArmor. */
export const hiddenDirs = [
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
  "/sys/fs/bpf",
  "/sys/fs/pstore",
  "/sys/fs/selinux",
  "/sys/kernel/config",
  "/sys/kernel/debug",
  "/sys/kernel/tracing",
] as const;

/** Where AppArmor's profiles are loaded, and other modules' settings, which are the host's root's. */
export const securityfs = "/sys/kernel/security";

/** Paths that get an unreadable cover. */
export const maskedPaths = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kallsyms",
  "/proc/kcore",
  "/proc/keys",
  "/proc/kmsg",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/sysrq-trigger",
  "/proc/timer_list",
  "/proc/timer_stats",
  ...hiddenDirs,
  securityfs,
] as const;

/** Paths that become read-only. A user namespace owns its own part of /proc/sys, and the kernel guards the rest. */
export const readOnlyPaths = (privileged: boolean): readonly string[] =>
  privileged ? ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"] : ["/proc/bus", "/proc/fs", "/proc/irq"];

/** File systems of the guest: type, target, attributes, options. */
export const guestMounts = [
  ["proc", "/proc", "nosuid,nodev,noexec", []],
  ["sysfs", "/sys", "ro,nosuid,nodev,noexec", []],
  ["cgroup2", "/sys/fs/cgroup", "nosuid,nodev,noexec", []],
] as const;

/**
 * For guests that nest. The kernel lets a user namespace mount proc and sysfs only where it sees an instance with nothing
 * laid over it (fs/namespace.c, mount_too_revealing), and the masks lie over those at /proc and /sys. These two stand
 * where only the guest's root may look.
 */
export const unmaskedDir = "/dev/.berth";
export const unmaskedMounts = [
  ["proc", `${unmaskedDir}/proc`, "nosuid,nodev,noexec", []],
  ["sysfs", `${unmaskedDir}/sys`, "nosuid,nodev,noexec", []],
] as const;

/** File systems below /dev and /run, mounted once /dev is a mount point of its own. */
export const guestTmpMounts = [
  ["devpts", "/dev/pts", "nosuid,noexec", ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]],
  ["tmpfs", "/dev/shm", "nosuid,nodev", ["mode=1777"]],
  ["tmpfs", "/run", "nosuid,nodev", ["mode=0755"]],
] as const;
