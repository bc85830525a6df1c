/** The kinds of host: Debian releases with their cloud kernels. */

export interface HostKind {
  readonly suite: string;
  /** The kernel series that the release ships. */
  readonly kernel: string;
}

export const hostKinds = {
  "debian-13": { suite: "trixie", kernel: "6.12" },
  "debian-12": { suite: "bookworm", kernel: "6.1" },
} as const satisfies Record<string, HostKind>;

export type KindName = keyof typeof hostKinds;

/** Whether a text names a host kind. */
export function isKindName(text: string): text is KindName {
  return Object.hasOwn(hostKinds, text);
}

/** What a lab host has installed beyond the minimal system. */
export const guestPackages: readonly string[] = [
  "linux-image-cloud-amd64",
  "systemd-sysv",
  "dbus",
  "udev",
  "kmod",
  "iproute2",
  "iputils-ping",
  "procps",
  "nftables",
  "apparmor",
  "criu",
  "lxcfs",
  "openssh-server",
  "rsync",
  "e2fsprogs",
  "xfsprogs",
  "btrfs-progs",
  "quota",
  "squashfs-tools",
  "busybox-static",
  "ca-certificates",
  "zstd",
  "xz-utils",
  "strace",
];
