/**
 * The AppArmor profile of a container, as text. It carries what the masks only courteously give: the guest's root can
 * take a mask away, and no profile. A guest in a user namespace is held by ownership already, and its profile forbids
 * what has hurt hosts before; a privileged guest has nothing else between it and the host's kernel settings.
 */
import type { ContainerConfig } from "../config/schema.ts";
import { hiddenDirs, securityfs } from "./policy.ts";

/** As long as every name of a profile, so that one compiled policy serves all containers that are set alike. */
export const placeholderName = profileNameOf("00000000-0000-0000-0000-000000000000");

/** What the kernel knows the profile of a container by; a clone has another, a renamed container the same. */
export function profileNameOf(uuid: string): string {
  return `berth-${uuid}`;
}

/**
 * A stacked guest's own namespace of profiles, for `removeFile` and in labels. What it loads there only ever takes away from what
 * its profile outside allows: both are asked (apparmor.d(7), "stacking").
 */
export const namespaceOf = (profile: string): string => `:${profile}:`;

/** What init and exec'd commands run under, as the kernel shows it to the host. */
export function apparmorLabel({ apparmor }: Pick<ContainerConfig, "apparmor">, uuid: string): string {
  const profile = profileNameOf(uuid);
  return apparmor === "stacked" ? `${profile}//&${namespaceOf(profile)}unconfined` : profile;
}

/** Everything that the kernel asks AppArmor about, allowed; what follows takes away from it. */
const allowed = ["file", "capability", "network", "signal", "ptrace", "unix", "dbus", "umount", "remount"];

/** Rules that parsers before 4.0 (Debian 12) do not know; kernels that ask about these come with a newer one. */
const allowedSince4 = ["userns", "mqueue", "io_uring"];

/** Names that do harm wherever a proc or sys may be mounted. */
const deniedEverywhere = [
  "audit deny /{,**/}sysrq-trigger rwklx",
  "audit deny /{,**/}kcore rwklx",
  "audit deny /{,**/}{core_pattern,uevent_helper,release_agent} wkl",
  "audit deny /{,**/}proc/{kmsg,kallsyms,keys} rwklx",
  "audit deny /{,**/}proc/sys/kernel/{modprobe,hotplug,panic*,kexec*,poweroff_cmd} wkl",
  "audit deny /{,**/}proc/acpi/{,**} rwklx",
];

/** Of a guest without a user namespace: the host's settings, and the hardware behind /sys. */
const deniedPrivileged = [
  "audit deny /{,**/}proc/sys/** wkl",
  "audit deny /{,**/}proc/{irq,bus,fs,scsi,mtrr}{,/**} wkl",
  "audit deny /{,**/}{kmem,mem,port} rwkl",
  ...sandboxes("/sys").flatMap((sys) => [
    `audit deny ${sys}/[^f]*{,/**} wkl`,
    `audit deny ${sys}/f[^s]*{,/**} wkl`,
    `audit deny ${sys}/fs/[^c]*{,/**} wkl`,
    `audit deny ${sys}/fs/c[^g]*{,/**} wkl`,
  ]),
  "audit deny capability mac_admin",
  "audit deny capability mac_override",
  "audit deny capability sys_module",
  "audit deny capability sys_rawio",
  "audit deny capability syslog",
];

/** The place itself, and where systemd builds the file system of a sandboxed service. */
function sandboxes(path: string): string[] {
  return [path, `/run/systemd/{unit-root,mount-rootfs,namespace-*}${path}`];
}

/** Paths that lie neither in proc nor in sys: rules know no "all but". */
const elsewhere = [
  "[^ps]**",
  "p[^r]**",
  "pr[^o]**",
  "pro[^c]**",
  "proc[^/]**",
  "s[^y]**",
  "sy[^s]**",
  "sys[^/]**",
];

/** Flags of mounts that bring no new file system; each by itself, for "in" would let one without any flag through. */
const binds = ["bind", "rbind", "move"];
/** Each combination of flags by itself, and without a path: parsers before 4.0 understand no other form. */
const combinations = (sets: readonly (readonly string[])[]): readonly string[][] =>
  sets.reduce<readonly string[][]>(
    (built, set) => built.flatMap((flags) => set.map((flag) => (flag === "" ? flags : [...flags, flag]))),
    [[]],
  );
const remounts = combinations([
  ["remount"],
  ["ro", "rw"],
  ["", "bind"],
  ["", "nosuid"],
  ["", "nodev"],
  ["", "noexec"],
  ["", "relatime", "noatime"],
]);

const propagations = ["private", "shared", "slave", "unbindable"].flatMap((kind) => [
  `make-${kind}`,
  `make-r${kind}`,
]);

/**
 * Mounts of a privileged guest: file systems that reach nothing of the host, and proc and sys only where the rules
 * above know them by their path.
 */
const mountsPrivileged = [
  "mount fstype=(tmpfs,ramfs,devpts,mqueue,hugetlbfs,cgroup2,overlay,fuse,fuse.*)",
  ...sandboxes("/proc").map((path) => `mount fstype=proc -> ${path}/`),
  ...sandboxes("/sys").map((path) => `mount fstype=sysfs -> ${path}/`),
  ...remounts.map((flags) => `mount options=(${flags.join(",")})`),
  ...propagations.map((flag) => `mount options=(rw,${flag}) -> /{,**}`),
  ...binds.flatMap((flag) => elsewhere.map((path) => `mount options=(rw,${flag}) /${path} -> /{,**}`)),
  "mount options=(rw,bind) / -> /**",
  "mount options=(rw,rbind) / -> /run/systemd/**",
  // A sandboxed service's view of kernel settings, bound onto itself.
  ...["bind", "rbind"].flatMap((flag) =>
    ["proc", "sys"].map(
      (dir) => `mount options=(rw,${flag}) /${dir}/{,**} -> /{,run/systemd/*/}${dir}/{,**}`,
    ),
  ),
  "pivot_root oldroot=/run/systemd/** /run/systemd/**",
];

/** Targets that are neither proc, sys nor where systemd builds sandboxes. */
const notSandboxes = [
  "[^pros]**",
  ...elsewhere.slice(1),
  "r[^u]**",
  "ru[^n]**",
  "o**",
  "run/[^s]**",
  "run/systemd/[^umn]**",
];

/**
 * The same said once more as denials: parsers before 4.0 take the flags of a remount for those of any mount
 * (CVE-2016-1585), and a denial has the last word.
 */
const deniedMounts = [
  "audit deny mount fstype=(debugfs,tracefs,securityfs,configfs,bpf,pstore,efivarfs,selinuxfs,cgroup)",
  ...notSandboxes.flatMap((path) => [
    `audit deny mount fstype=(proc,sysfs) -> /${path}`,
    ...binds.map((flag) => `audit deny mount options=(rw,${flag}) /{proc,sys}/{,**} -> /${path}`),
  ]),
];

export type ApparmorChoice = Pick<ContainerConfig, "privileged" | "apparmor">;

/** A stacked guest loads its profiles here; who may load which is asked by the kernel. All else there is the host's. */
const securityRules = (apparmor: ContainerConfig["apparmor"]): readonly string[] =>
  apparmor === "stacked"
    ? [`audit deny ${securityfs}/[^a]*{,/**} rwklx`]
    : [`audit deny ${securityfs}/{,**} rwklx`];

/**
 * The profile's texts, to be tried in turn: the later is for older parsers. Its name is `placeholderName`.
 * attach_disconnected: descriptors from outside the guest's mount namespace (the console) have no path in it.
 */
export function apparmorProfiles({ privileged, apparmor }: ApparmorChoice): readonly string[] {
  const rules = (parserRules: readonly string[]): readonly string[] => [
    ...allowed,
    ...parserRules,
    ...(privileged ? mountsPrivileged : ["mount", "pivot_root"]),
    ...deniedEverywhere,
    ...hiddenDirs.map((dir) => `audit deny ${dir}/{,**} rwklx`),
    ...securityRules(apparmor),
    ...(privileged ? [...deniedMounts, ...deniedPrivileged] : []),
  ];
  return [allowedSince4, []].map(
    (parserRules) =>
      `profile "${placeholderName}" flags=(attach_disconnected,mediate_deleted) {\n${rules(parserRules)
        .map((rule) => `  ${rule},\n`)
        .join("")}}\n`,
  );
}
