/** `container config -> launch plan`: a pure function. What acts on it is berth-launch. */
import type { Mount, MountOption } from "../config/mounts.ts";
import type { ContainerConfig } from "../config/schema.ts";
import { removeFile } from "../kernel/apparmor.ts";
import type { Plan, PlanRecord } from "../kernel/plan.ts";
import {
  boundingSet,
  deviceLinks,
  deviceNodes,
  guestMounts,
  guestTmpMounts,
  maskedPaths,
  readOnlyPaths,
  securityfs,
  unmaskedDir,
  unmaskedMounts,
} from "./policy.ts";

/** User and group ids of each container (DESIGN: 65536 of its own). */
export const ID_COUNT = 65536;

/** Console geometry until somebody attaches. */
const ROWS = 24;
const COLUMNS = 80;

/** The tty group in every Debian guest (base-passwd). */
const TTY_GID = 5;

export type LaunchFacts = {
  readonly name: string;
  readonly config: ContainerConfig;
  readonly uuid: string;
  /** First host id of the container's range; 0 when privileged. */
  readonly baseUid: number;
  readonly runDir: string;
  readonly scratchDir: string;
  readonly consoleLog: string;
  /** Bytes of console log kept before it is rotated. */
  readonly consoleLogSize: number;
  readonly eventsFile: string;
  /** argv of the command the keeper runs when the guest reboots itself. */
  readonly rebootCommand: readonly string[];
  /** Compiled filters, in the order in which the kernel gets them. */
  readonly seccomp: readonly { readonly filter: Uint8Array; readonly log: boolean }[];
  /** Under which AppArmor profile, where the host can load one, and what names it and its namespace in `removeFile`. */
  readonly apparmor: { readonly label: string; readonly loaded: readonly string[] } | undefined;
  /** Whether SELinux enforces here. */
  readonly selinux: boolean;
  readonly cgroupRecords: readonly PlanRecord[];
  readonly rootRecords: readonly PlanRecord[];
  /** Records that make the volumes' mounts which sources of `mounts` name as "@ID/data". */
  readonly volumeRecords: readonly PlanRecord[];
  /** What it sees of the host: sources resolved. */
  readonly mounts: readonly GuestMount[];
  readonly networkRecords: readonly PlanRecord[];
  /** Files that tell the guest who it is: path, when, content. */
  readonly files: readonly GuestFile[];
  readonly trace: boolean;
};

export type GuestMount = Mount & {
  /** In the place of its source: an absolute path of the host without symbolic links, or "@ID/data". */
  readonly source: string;
};

export type GuestFile = {
  readonly path: string;
  readonly when: "always" | "missing" | "empty";
  readonly mode: string;
  readonly content: string;
};

const namespaces = (privileged: boolean): string[] => [
  ...(privileged ? [] : ["user"]),
  "pid",
  "mnt",
  "uts",
  "ipc",
  "net",
  "cgroup",
];

const idMaps = (privileged: boolean, baseUid: number): readonly PlanRecord[] =>
  privileged
    ? []
    : [
        ["idmap", "u", 0, baseUid, ID_COUNT],
        ["idmap", "g", 0, baseUid, ID_COUNT],
      ];

/** What init and every command run by exec find in their environment. */
export function guestEnvironment(config: ContainerConfig, uuid: string): string[] {
  const fixed = {
    container: "berth",
    container_uuid: uuid,
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LANG: "C.UTF-8",
  };
  return Object.entries({ ...fixed, ...config.environment }).map(([key, value]) => `${key}=${value}`);
}

type Confinement = Pick<LaunchFacts, "config" | "seccomp" | "apparmor" | "selinux">;

/** Confinement that init and exec'd commands share. */
function confinement({ config, seccomp, apparmor, selinux }: Confinement): PlanRecord[] {
  const label = config["selinux-label"];
  return [
    ...(apparmor === undefined ? [] : [["apparmor", apparmor.label] as const]),
    ...(selinux && label !== undefined ? [["selinux", label] as const] : []),
    ["caps", ...boundingSet(config)],
    ...(config["no-new-privs"] ? [["noNewPrivs"] as const] : []),
    ...seccomp.map(({ filter, log }) => [log ? "seccompLog" : "seccomp", filter] as const),
  ];
}

/** The plan of a start. */
export function launchPlan(facts: LaunchFacts): Plan {
  const { config, name, baseUid } = facts;
  const privileged = config.privileged;
  return [
    ["name", name],
    ["namespaces", ...namespaces(privileged)],
    ...idMaps(privileged, baseUid),
    ["init", ...config.init],
    // Pressure file descriptors do not survive a checkpoint; systemd then spins.
    ["env", ...guestEnvironment(config, facts.uuid), "TERM=vt220", "MEMORY_PRESSURE_WATCH=/dev/null"],
    ["hostname", config.hostname ?? name],
    ["rundir", facts.runDir],
    ["console", facts.consoleLog, facts.consoleLogSize, baseUid, baseUid + TTY_GID, ROWS, COLUMNS],
    ["reboot", ...facts.rebootCommand],
    ["events", facts.eventsFile],
    ...(facts.trace ? [["trace"] as const] : []),
    ...facts.cgroupRecords,
    ...(facts.apparmor?.loaded ?? []).map((what) => ["endWrite", removeFile, what] as const),
    ["scratch", facts.scratchDir],
    ...facts.rootRecords,
    ...facts.volumeRecords,
    ...hostMadeFiles(baseUid, config.nesting),
    ...mounts(config, facts.apparmor !== undefined && config.apparmor === "stacked"),
    hostFile,
    ...Object.entries(config.sysctl).map(
      ([key, value]) => ["sysctl", key.replaceAll(".", "/"), value, "must"] as const,
    ),
    ...facts.files.map(
      ({ path, mode, when, content }) => ["file", path, mode, when, Buffer.from(content)] as const,
    ),
    // After the files: what berth writes lands on the guest's own disk, never in a directory of the host.
    ...hostMounts(facts),
    ["rootShared"],
    ["oomScore", 0],
    ...confinement(facts),
    ...facts.networkRecords,
  ];
}

/** The plan of `berth-launch view`: the guest's root alone. */
export function viewPlan(
  facts: Pick<LaunchFacts, "name" | "baseUid" | "runDir" | "scratchDir" | "rootRecords"> & {
    readonly privileged: boolean;
  },
): Plan {
  return [
    ["name", facts.name],
    ...idMaps(facts.privileged, facts.baseUid),
    ["rundir", facts.runDir],
    ["scratch", facts.scratchDir],
    ...facts.rootRecords,
  ];
}

/**
 * Who runs it, where systemd's container interface looks for that. It also is the first thing on /run on purpose: CRIU
 * finds a watched directory again by its inode number alone, and number 2 there is the root's on ext4.
 */
const hostFile: PlanRecord = ["file", "/run/host/container-manager", "444", "always", Buffer.from("berth\n")];

/** Device nodes and links: no guest can make them itself, and /dev must hold these and no others at boot. */
function hostMadeFiles(baseUid: number, nesting: boolean): PlanRecord[] {
  return [
    ["dir", "/dev", "755", baseUid, baseUid],
    ...["pts", "shm", "berth"].map((dir) => ["dir", `/dev/${dir}`, "755", baseUid, baseUid] as const),
    ...(nesting ? [["dir", unmaskedDir, "700", baseUid, baseUid] as const] : []),
    ...deviceNodes.map(
      ([node, major, minor]) => ["node", `/dev/${node}`, "c", major, minor, "666", baseUid, baseUid] as const,
    ),
    ...deviceLinks.map(([link, target]) => ["symlink", `/dev/${link}`, target, baseUid, baseUid] as const),
  ];
}

type FileSystem = (typeof guestMounts | typeof guestTmpMounts | typeof unmaskedMounts)[number];

function mounts({ privileged, nesting }: ContainerConfig, stacked: boolean): PlanRecord[] {
  const mount = ([type, target, attributes, options]: FileSystem): PlanRecord => [
    "mount",
    type,
    target,
    attributes,
    ...options,
  ];
  return [
    ...guestMounts.map(mount),
    ["bindSelf", "/dev"],
    ...guestTmpMounts.map(mount),
    ...(nesting ? unmaskedMounts.map(mount) : []),
    ["bindConsole", "/dev/berth"],
    ...readOnlyPaths(privileged).map((path) => ["readonly", path] as const),
    ...maskedPaths.filter((path) => !(stacked && path === securityfs)).map((path) => ["mask", path] as const),
    ...(stacked ? [["bindHost", securityfs, securityfs, "nodev,nosuid,noexec"] as const] : []),
  ];
}

/** The plan that mounts more in a guest that runs. */
export function mountPlan(
  facts: Pick<LaunchFacts, "name" | "config" | "runDir" | "scratchDir" | "volumeRecords" | "mounts">,
): Plan {
  return [
    ["name", facts.name],
    ["namespaces", ...namespaces(facts.config.privileged)],
    ["rundir", facts.runDir],
    ["scratch", facts.scratchDir],
    ...facts.volumeRecords,
    ...hostMounts(facts),
  ];
}

/** Parents before what lies in them. The guest's root cannot take an attribute off again (fs_lock.c). */
function hostMounts({ mounts }: Pick<LaunchFacts, "mounts">): PlanRecord[] {
  return [...mounts]
    .sort((a, b) => (a.target < b.target ? -1 : 1))
    .map(({ source, target, options }) => ["bindHost", source, target, attributesOf(options).join(",")]);
}

/** nosuid and nodev unless asked for otherwise: what lies there was not made by the guest alone. */
function attributesOf(options: Mount["options"]): readonly string[] {
  const said = (option: MountOption): boolean => options.includes(option);
  return [
    "nodev",
    ...(said("suid") ? [] : ["nosuid"]),
    ...(said("noidmap") ? [] : ["idmap"]),
    ...(["ro", "noexec", "rec"] as const).filter(said),
  ];
}

/** The plan that `exec` and `enter` use while the guest runs. */
export function attachPlan(facts: Confinement & Pick<LaunchFacts, "name" | "uuid" | "cgroupRecords">): Plan {
  return [
    ["name", facts.name],
    ["namespaces", ...namespaces(facts.config.privileged)],
    ["env", ...guestEnvironment(facts.config, facts.uuid)],
    ...facts.cgroupRecords,
    ...confinement(facts),
  ];
}
