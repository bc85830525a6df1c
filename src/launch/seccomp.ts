/**
 * The system calls a guest is refused, as the text that berth-seccomp compiles. Everything else is allowed: the
 * kernel checks capabilities itself, and an old guest must run.
 */

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

/** Refused to every guest. */
const refused = [
  // The host's log, kernel and modules.
  "syslog",
  "kexec_load",
  "kexec_file_load",
  "init_module",
  "finit_module",
  "delete_module",
  "create_module",
  "query_module",
  "get_kernel_syms",
  "lookup_dcookie",
  "nfsservctl",
  "uselib",
  "_sysctl",
  "sysfs",
  // Large attack surfaces that no guest of ours needs.
  "bpf",
  "perf_event_open",
  "userfaultfd",
  "vm86",
  "vm86old",
  "modify_ldt",
  // Keyrings are the host's: they know no namespace.
  "add_key",
  "keyctl",
  "request_key",
  // Quota belongs to berth.
  "quotactl",
  "nr:443", // quotactl_fd
  // Host wide switches.
  "swapon",
  "swapoff",
  "acct",
  "iopl",
  "ioperm",
  "settimeofday",
  "stime",
  "clock_settime",
  "clock_settime64",
] as const;

/** Answered with ENOSYS, so that programs fall back: CRIU cannot dump an io_uring. */
const absent = ["io_uring_setup", "io_uring_enter", "io_uring_register"] as const;

/** A guest without a user namespace has the host's rights over these. */
const refusedPrivileged = [
  "open_by_handle_at",
  "adjtimex",
  "clock_adjtime",
  "clock_adjtime64",
  "nr:469",
] as const;

/** FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS: would take a file out of its project quota. */
const refusedIoctls = [0x401c5820, 0x40086602, 0x40046602] as const;

/** Its addresses know no namespace: they are those of the machine's hypervisor and of the virtual machines on the host. */
const AF_VSOCK = 40;

/** The kernel looks at the low half of an ioctl's request and of an address family only (CVE-2019-10063). */
const LOW_HALF = 0xffffffff;

// include/uapi/linux/sched.h
const CLONE_NEWTIME = 0x80;
const nestedNamespaces = [
  0x02000000, // CLONE_NEWCGROUP
  0x04000000, // CLONE_NEWUTS
  0x08000000, // CLONE_NEWIPC
  0x10000000, // CLONE_NEWUSER
  0x20000000, // CLONE_NEWPID
  0x40000000, // CLONE_NEWNET
] as const;

const architectures: Record<string, readonly string[]> = {
  x64: ["x86_64", "x32", "x86"],
  arm64: ["aarch64", "arm"],
};

/** The policy text. Nested namespaces are refused because CRIU cannot dump them. */
export function seccompPolicy(options: { readonly privileged: boolean; readonly arch: string }): string {
  const errno = (code: number, call: string): string => `errno ${code} ${call}`;
  const masked = (call: string, flag: number): string => `errno ${EPERM} ${call} 0 masked_eq ${flag} ${flag}`;
  return [
    "default allow",
    `badarch errno ${ENOSYS}`,
    ...(architectures[options.arch] ?? []).map((arch) => `arch ${arch}`),
    ...refused.map((call) => errno(EPERM, call)),
    ...absent.map((call) => errno(ENOSYS, call)),
    ...(options.privileged ? refusedPrivileged.map((call) => errno(EPERM, call)) : []),
    ...(options.privileged
      ? refusedIoctls.map((request) => `errno ${EPERM} ioctl 1 masked_eq ${request} ${LOW_HALF}`)
      : []),
    ...nestedNamespaces.flatMap((flag) => [masked("clone", flag), masked("unshare", flag)]),
    masked("unshare", CLONE_NEWTIME),
    `errno ${EAFNOSUPPORT} socket 0 masked_eq ${AF_VSOCK} ${LOW_HALF}`,
    // Its flags lie in memory where a filter cannot see them; libc falls back to clone.
    errno(ENOSYS, "clone3"),
    "",
  ].join("\n");
}
