/** The distributions that templates are built from. */

export type DebianLike = {
  readonly kind: "debian" | "ubuntu";
  readonly release: string;
  /** Codename of the suite. */
  readonly suite: string;
  readonly components: readonly string[];
  /** `Origin:` in the Release file: what tells this distribution's mirrors from others. */
  readonly origin: string;
  /** The keyring that verifies the archive, on the host and in the guest. */
  readonly keyring: string;
  readonly keyringPackage: string;
  /** Default mirrors; a first one of the host's own is preferred. */
  readonly mirror: string;
  readonly securityMirror: string;
};

export type Busybox = { readonly kind: "busybox" };

export type Distribution = DebianLike | Busybox;

const debian = {
  kind: "debian",
  components: ["main"],
  origin: "Debian",
  keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
  keyringPackage: "debian-archive-keyring",
  mirror: "http://deb.debian.org/debian",
  securityMirror: "http://deb.debian.org/debian-security",
} as const;

const ubuntuPorts = "http://ports.ubuntu.com/ubuntu-ports";

const ubuntu = {
  kind: "ubuntu",
  components: ["main", "universe"],
  origin: "Ubuntu",
  keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
  keyringPackage: "ubuntu-keyring",
  mirror: process.arch === "x64" ? "http://archive.ubuntu.com/ubuntu" : ubuntuPorts,
  securityMirror: process.arch === "x64" ? "http://security.ubuntu.com/ubuntu" : ubuntuPorts,
} as const;

/** By the name that `berth template build` takes. */
export const distributions: Readonly<Record<string, Distribution>> = {
  "debian-13": { ...debian, release: "13", suite: "trixie" },
  "debian-12": { ...debian, release: "12", suite: "bookworm" },
  "ubuntu-24.04": { ...ubuntu, release: "24.04", suite: "noble" },
  busybox: { kind: "busybox" },
};

/** What every Debian or Ubuntu guest has on top of the essential packages, apt and their dependencies. */
export const basePackages: readonly string[] = [
  "ca-certificates",
  "dbus",
  "iproute2",
  "iputils-ping",
  "less",
  "libpam-systemd",
  "nano",
  "netbase",
  "procps",
  "systemd-sysv",
];

/** dpkg's name of this machine's architecture. */
export const architecture: string = process.arch === "x64" ? "amd64" : process.arch;
