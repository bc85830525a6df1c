/** Looking for faults in a pool while it is in use. */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { describeErrno, errnoOf } from "../base/errors.ts";
import { listIfExists, readIfExists } from "../base/files.ts";
import { btrfsUuid, subvolumeId } from "../kernel/btrfs.ts";
import { groupIds } from "../kernel/btrfs-quota.ts";
import { mountOf } from "../kernel/mountinfo.ts";
import { projectOf } from "../kernel/quota.ts";
import type { DriverName } from "./driver.ts";
import { storageDriver } from "./drivers.ts";
import { type PoolRecord, poolRoot } from "./pool-record.ts";
import { projectClaims, projectOwner } from "./project-ids.ts";
import { quotaFault } from "./quota-probe.ts";

/** Faults of a pool, in words; none when it is sound. `owners` are the volumes that containers have in it. */
export async function poolFaults(
  { driver }: PoolRecord,
  owners: ReadonlyMap<string, string>,
): Promise<readonly string[]> {
  const root = poolRoot(driver);
  const volumes = storageDriver(driver).volumes();
  const there = new Set(volumes);
  const unwritable = writeFault(root);
  return [
    ...fileSystemFaults(root),
    ...(unwritable === undefined ? await quotaFaults(driver, root, volumes) : [unwritable]),
    ...volumes.filter((id) => !owners.has(id)).map((id) => `the volume ${id} belongs to no container`),
    ...[...owners]
      .filter(([id]) => !there.has(id))
      .map(([id, name]) => `${name}: its volume ${id} is missing`),
  ];
}

/** What the driver's own quota has against it; it is tried by writing. */
async function quotaFaults(
  driver: DriverName,
  root: string,
  volumes: readonly string[],
): Promise<readonly string[]> {
  if (driver === "project") return await projectFaults(root, volumes);
  return driver === "btrfs" ? await btrfsFaults(root, volumes) : [];
}

/** Writing a file tells what no table shows: a disk that fails, a file system that is read-only or full. */
function writeFault(root: string): string | undefined {
  const file = `${root}/.probe-write-${process.pid}`;
  try {
    const fd = openSync(file, "wx", 0o600);
    try {
      writeSync(fd, Buffer.alloc(4096));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    return undefined;
  } catch (error) {
    return `it cannot be written to: ${describeErrno(errnoOf(error) ?? String(error))}`;
  } finally {
    try {
      rmSync(file, { force: true });
    } catch {} // what could not be written to is said already
  }
}

/** ext4 counts the errors that it met (admin-guide/ext4, errors_count), btrfs those of each device. */
function fileSystemFaults(root: string): readonly string[] {
  const mount = mountOf(root);
  if (mount === undefined) return [];
  const device = /^DEVNAME=(.*)$/m.exec(readIfExists(`/sys/dev/block/${mount.numbers}/uevent`) ?? "")?.[1];
  const errors = Number(readIfExists(`/sys/fs/ext4/${device}/errors_count`) ?? 0);
  return [
    ...(errors > 0 ? [`/dev/${device} has met ${errors} errors; unmount it and run e2fsck`] : []),
    ...(mount.readOnly ? ["the file system is read-only"] : []),
  ];
}

async function projectFaults(root: string, volumes: readonly string[]): Promise<readonly string[]> {
  const fault = await quotaFault("project", root);
  if (fault !== undefined) return [`project quota does not hold: ${fault}`];
  const projects = volumes.map((id) => ({ volume: id, ...projectOf(`${root}/${id}`) }));
  const there = new Set(volumes);
  return [
    ...projects.flatMap(({ volume, id, inherited }) => {
      if (id === 0 || !inherited) return [`the volume ${volume} belongs to no project: no limit holds`];
      const owner = projectOwner(id);
      return owner === volume
        ? []
        : [`the volume ${volume} has project ${id}, which is claimed for ${owner ?? "nobody"}`];
    }),
    ...projectClaims()
      .filter(({ volume }) => !there.has(volume))
      .map(({ id, volume }) => `project ${id} is claimed for ${volume}, which is not there`),
  ];
}

async function btrfsFaults(root: string, volumes: readonly string[]): Promise<readonly string[]> {
  const uuid = btrfsUuid(root);
  const fault = await quotaFault("btrfs", root);
  const groups = new Set(groupIds(uuid));
  return [
    ...deviceErrors(uuid),
    ...(fault === undefined ? [] : [`simple quota does not hold: ${fault}`]),
    ...volumes
      .filter((id) => !groups.has(subvolumeId(`${root}/${id}`)))
      .map((id) => `the volume ${id} belongs to no quota group: no limit holds`),
  ];
}

/** Since the file system was made (btrfs-device(8), stats). */
const deviceErrors = (uuid: string): readonly string[] =>
  listIfExists(`/sys/fs/btrfs/${uuid}/devinfo`).flatMap((device) => {
    const stats = readIfExists(`/sys/fs/btrfs/${uuid}/devinfo/${device}/error_stats`) ?? "";
    const met = [...stats.matchAll(/^(\w+) ([1-9]\d*)$/gm)].map(([, kind, count]) => `${count} ${kind}`);
    return met.length === 0
      ? []
      : [`device ${device} has met ${met.join(", ")}; btrfs scrub tells what is hurt`];
  });
