/**
 * What a stock Debian or Ubuntu tree needs to boot clean as a guest, and to stay one that CRIU can dump: data
 * files, links and removals, all below the tree's own directory fd. No program of the tree is run. Polishing twice
 * gives the same tree. docs/templates.md tells the operator each of these and how to take it back.
 */
import { has, list, makeDir, readText, realPath, remove, type Tree, writeFile, writeLink } from "./tree.ts";

const units = "etc/systemd/system";

/** Each cannot work in a user namespace, or is the host's business; failing, they would leave the guest `degraded`. */
const masked: readonly string[] = [
  // File systems that the kernel mounts for nobody but the host's root.
  "dev-hugepages.mount",
  "proc-sys-fs-binfmt_misc.automount",
  "sys-fs-fuse-connections.mount",
  "sys-kernel-config.mount",
  "sys-kernel-debug.mount",
  "sys-kernel-tracing.mount",
  // Kernel modules, binary formats, firmware storage, audit: the host's.
  "kmod-static-nodes.service",
  "modprobe@.service",
  "systemd-binfmt.service",
  "systemd-journald-audit.socket",
  "systemd-modules-load.service",
  "systemd-pstore.service",
  // Devices are given by the host; no udev runs in a guest, even when a package brings it.
  "systemd-hwdb-update.service",
  "systemd-udev-settle.service",
  "systemd-udev-trigger.service",
  "systemd-udevd-control.socket",
  "systemd-udevd-kernel.socket",
  "systemd-udevd.service",
  // /tmp in memory would be charged to the guest's memory limit (Debian 13's default); on disk it is the disk's.
  "tmp.mount",
];

/** Not started, but there to be enabled: work that a thousand guests would do in the same minute, or that the host does. */
const disabled: readonly string[] = [
  "getty.target.wants/getty@tty1.service",
  "multi-user.target.wants/e2scrub_reap.service",
  "timers.target.wants/apt-daily.timer",
  "timers.target.wants/apt-daily-upgrade.timer",
  "timers.target.wants/e2scrub_all.timer",
  "timers.target.wants/fstrim.timer",
];

/** Credentials are mounts of their own in each unit's namespace; CRIU dumps none of them. */
const withoutCredentials: readonly string[] = [
  "systemd-.service",
  "console-getty.service",
  "getty@.service",
  "container-getty@.service",
  "serial-getty@.service",
  "sshd@.service",
  "user@.service",
];

export type GuestApt = {
  /** Name of the file in sources.list.d, its content, and apt.conf lines for the host's proxy ("" none). */
  readonly sourcesName: string;
  readonly sources: string;
  readonly conf: string;
};

/** The state of a package in the tree's dpkg database: its version, or undefined. */
export function packageVersion(tree: Tree, name: string): string | undefined {
  const status = readText(tree, "var/lib/dpkg/status") ?? "";
  const stanza = status.split("\n\n").find((text) => `\n${text}\n`.includes(`\nPackage: ${name}\n`));
  return stanza === undefined ? undefined : /^Version: (.*)$/m.exec(stanza)?.[1];
}

/** systemd's release, by dpkg's database or by the name of its library; 0 when neither tells. */
function systemdVersion(tree: Tree): number {
  const libraries = ["usr/lib/systemd", "usr/lib64/systemd"].flatMap((dir) =>
    realPath(tree, dir) === `/${dir}` ? list(tree, dir) : [],
  );
  const byName = libraries.flatMap((name) => /^libsystemd-shared-(\d+)/.exec(name)?.[1] ?? [])[0];
  return Number.parseInt(packageVersion(tree, "systemd") ?? byName ?? "0", 10);
}

/** Polishes a Debian or Ubuntu tree. */
export function polishTree(tree: Tree, apt: GuestApt): void {
  polishIdentity(tree);
  polishFirstBoot(tree);
  polishApt(tree, apt);
  polishDpkg(tree);
  polishUnits(tree);
  polishConsole(tree);
  polishJournal(tree);
  polishPing(tree);
  polishSshKeys(tree);
}

/** Whatever a first boot would do for a new /usr was done by the packages: half a second less for each new guest. */
function polishFirstBoot(tree: Tree): void {
  for (const name of ["etc/.updated", "var/.updated"]) writeFile(tree, name, "");
}

/** What makes one guest differ from the next is empty here and made at start or at first boot. */
function polishIdentity(tree: Tree): void {
  writeFile(tree, "etc/machine-id", "", 0o444);
  if (has(tree, "var/lib/dbus")) writeLink(tree, "var/lib/dbus/machine-id", "/etc/machine-id");
  writeFile(tree, "etc/hostname", "");
  writeFile(tree, "etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
  writeFile(tree, "etc/resolv.conf", "");
  writeFile(
    tree,
    "etc/fstab",
    "# The root file system is mounted by the host. Mounts of your own go here.\n",
  );
  writeLocale(tree);
  for (const name of ["var/lib/systemd/random-seed", "var/lib/systemd/credential.secret", "etc/.pwd.lock"])
    remove(tree, name);
  for (const name of ["var/log/dpkg.log", "var/log/alternatives.log", "var/log/bootstrap.log"])
    remove(tree, name);
  for (const name of list(tree, "var/log/apt")) remove(tree, `var/log/apt/${name}`);
  // Caches that differ from build to build; each is made anew when it is wanted.
  for (const name of [
    "var/cache/ldconfig/aux-cache",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
  ])
    remove(tree, name);
}

function writeLocale(tree: Tree): void {
  writeFile(tree, "etc/locale.conf", "LANG=C.UTF-8\n");
  // PAM reads the one, systemd the other.
  writeLink(tree, "etc/default/locale", "../locale.conf");
}

function polishApt(tree: Tree, { sourcesName, sources, conf }: GuestApt): void {
  remove(tree, "etc/apt/sources.list");
  for (const name of list(tree, "etc/apt/sources.list.d")) remove(tree, `etc/apt/sources.list.d/${name}`);
  writeFile(tree, `etc/apt/sources.list.d/${sourcesName}.sources`, sources);
  remove(tree, "etc/apt/apt.conf.d/99mmdebstrap");
  if (conf === "") remove(tree, "etc/apt/apt.conf.d/50berth-proxy");
  else writeFile(tree, "etc/apt/apt.conf.d/50berth-proxy", conf);
}

/** Paths that dpkg leaves out, in the build and later in the guest. Copyright files stay: licences ask for it. */
export const dpkgExcludes: readonly string[] = [
  "path-exclude=/usr/share/doc/*",
  "path-include=/usr/share/doc/*/copyright",
  "path-exclude=/usr/share/man/*",
  "path-exclude=/usr/share/info/*",
  "path-exclude=/usr/share/lintian/*",
  "path-exclude=/usr/share/locale/*",
  "path-include=/usr/share/locale/locale.alias",
];

function polishDpkg(tree: Tree): void {
  remove(tree, "etc/dpkg/dpkg.cfg.d/99mmdebstrap");
  writeFile(
    tree,
    "etc/dpkg/dpkg.cfg.d/50berth",
    `# A small guest: no manuals, no translations. Remove this file and reinstall a package to have them.\n${dpkgExcludes.join("\n")}\n`,
  );
}

/** Units that cannot work in a guest, or that a checkpoint does not survive. */
export function polishUnits(tree: Tree): void {
  const version = systemdVersion(tree);
  makeDir(tree, units);
  for (const unit of masked) writeLink(tree, `${units}/${unit}`, "/dev/null");
  for (const link of disabled) remove(tree, `${units}/${link}`);
  // Namespaces within the guest's own and PSI triggers do not survive a checkpoint.
  const service = [
    "[Service]",
    "ProtectHostname=no",
    "PrivateUsers=no",
    ...(version >= 254 ? ["MemoryPressureWatch=off"] : []),
    ...(version >= 257 ? ["PrivatePIDs=no"] : []),
  ];
  const dropIn = `${service.join("\n")}\n`;
  writeFile(tree, `${units}/service.d/50-berth.conf`, dropIn);
  writeFile(tree, "etc/systemd/user/service.d/50-berth.conf", dropIn);
  const credentials = `[Service]\n${version >= 254 ? "ImportCredential=\n" : ""}LoadCredential=\n`;
  for (const unit of withoutCredentials)
    writeFile(tree, `${units}/${unit}.d/51-berth-credentials.conf`, credentials);
  // Otherwise every guest would copy its package list in the same second of midnight.
  writeFile(tree, `${units}/dpkg-db-backup.timer.d/50-berth.conf`, "[Timer]\nRandomizedDelaySec=6h\n");
}

/** A login on the console, which comes back however often its other end goes away; none on ttys that are not there. */
export function polishConsole(tree: Tree): void {
  writeLink(
    tree,
    `${units}/getty.target.wants/console-getty.service`,
    "/lib/systemd/system/console-getty.service",
  );
  writeFile(
    tree,
    `${units}/console-getty.service.d/52-berth.conf`,
    "[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nRestartSec=1\n",
  );
}

/** A journal that outlives a restart and stays small. */
export function polishJournal(tree: Tree): void {
  // Without the ACL that the build's tmpfiles gave it (ids in ACLs are the hardest to map); the boot gives it again.
  remove(tree, "var/log/journal");
  makeDir(tree, "var/log/journal", 0o2755);
  writeFile(
    tree,
    "etc/systemd/journald.conf.d/50-berth.conf",
    "[Journal]\nStorage=persistent\nSystemMaxUse=64M\nRuntimeMaxUse=16M\n",
  );
}

/** systemd's own range goes beyond the guest's ids and is refused: then nobody but root could ping. */
export function polishPing(tree: Tree): void {
  writeFile(tree, "etc/sysctl.d/60-berth.conf", "-net.ipv4.ping_group_range = 0 65534\n");
}

/** ssh host keys are each guest's own: none in the template, made before the first start of the server. */
export function polishSshKeys(tree: Tree): void {
  for (const name of list(tree, "etc/ssh"))
    if (/^ssh_host_.*_key(\.pub)?$/.test(name)) remove(tree, `etc/ssh/${name}`);
  writeFile(
    tree,
    `${units}/berth-ssh-hostkeys.service`,
    `[Unit]
Description=Make this guest's own ssh host keys
Before=ssh.service sshd.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
ConditionFileIsExecutable=/usr/bin/ssh-keygen

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
`,
  );
  writeLink(
    tree,
    `${units}/multi-user.target.wants/berth-ssh-hostkeys.service`,
    "../berth-ssh-hostkeys.service",
  );
}
