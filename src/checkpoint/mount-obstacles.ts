/** What of a guest's mounts stands in the way of a checkpoint, as /proc/PID/mountinfo shows them (proc(5)). */
import type { Found } from "./checkable.ts";
import { type GuestProcess, listProc, readProc, readProcLink } from "./processes.ts";

type Mount = {
  readonly id: string;
  /** Of the file system: "0:52". */
  readonly device: string;
  /** What of the file system is mounted; "/" is all of it. */
  readonly root: string;
  readonly point: string;
  readonly type: string;
};

/** The mounts that each mount namespace shows, under the first process that is in it. */
export function mountsOf(processes: readonly GuestProcess[]): ReadonlyMap<number, readonly Mount[]> {
  const first = new Map<string, number>();
  for (const { pid } of processes) {
    const namespace = readProcLink(pid, "ns/mnt");
    if (namespace !== undefined && !first.has(namespace)) first.set(namespace, pid);
  }
  return new Map([...first.values()].map((pid) => [pid, parseMounts(readProc(pid, "mountinfo") ?? "")]));
}

export const parseMounts = (mountinfo: string): Mount[] =>
  mountinfo
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [id = "", , device = "", root = "", point = ""] = line.split(" ");
      return { id, device, root, point, type: / - (\S+) /.exec(line)?.[1] ?? "" };
    });

/** File systems that CRIU knows no way to mount again. */
const unknownFileSystem = /^(ramfs|fuse|nfs|nfs4|cifs|9p|hugetlbfs|ext4|xfs|vfat)$|^fuse\./;

/** What stands in the way in one namespace, where `all` are those of the guest. */
export function ofMounts(
  mounts: readonly Mount[],
  all: ReadonlyMap<number, readonly Mount[]>,
): readonly Found[] {
  const whole = new Set(
    [...all.values()].flat().flatMap(({ device, root }) => (root === "/" ? [device] : [])),
  );
  return mounts.flatMap(({ device, root, point, type }) => {
    if (unknownFileSystem.test(type)) return [unknown(type, point)];
    if (type !== "tmpfs" || root === "/" || whole.has(device)) return [];
    // Its content is reached by its root, which systemd leaves nowhere (PrivateTmp=disconnected). Said once for all its parts.
    whole.add(device);
    return [partial(point)];
  });
}

const unknown = (type: string, point: string): Found => ({
  what: `sees ${type} mounted on ${point}`,
  cure: point.includes("/credentials")
    ? "empty ImportCredential= and LoadCredential= of the unit"
    : `unmount ${point}`,
});

const partial = (point: string): Found => ({
  what: `has a ${point} of its own that is a part of something mounted nowhere, as DynamicUser= makes it`,
  cure: "`systemctl edit` the unit to PrivateTmp=yes, and restart it",
});

/** Memory, a file that is removed, or a terminal: those are found otherwise. */
const otherwise = /^\/(memfd:|SYSV|dev\/(?!null$))| \(deleted\)$/;

/** Files of the host that it has open: what `berth exec` gave to a command, and that to what it left running. */
export function ofFiles(pid: number, all: ReadonlyMap<number, readonly Mount[]>): readonly Found[] {
  const ids = new Set([...all.values()].flat().map(({ id }) => id));
  const foreign = listProc(pid, "fd").find((fd) => {
    const target = readProcLink(pid, `fd/${fd}`) ?? "";
    if (!target.startsWith("/") || otherwise.test(target)) return false;
    const id = /^mnt_id:\s*(\d+)/m.exec(readProc(pid, `fdinfo/${fd}`) ?? "")?.[1];
    return id !== undefined && !ids.has(id);
  });
  if (foreign === undefined) return [];
  return [
    {
      what: "has a file of the host open, from the `berth exec` that began it",
      cure: "end it, and start it as a service, e.g. by systemd-run",
    },
  ];
}
