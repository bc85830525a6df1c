/** Looking for faults in a pool while it is in use. */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { describeErrno, errnoOf } from "../base/errors.ts";
import { btrfsUuid, subvolumeId } from "../kernel/btrfs.ts";
import { groupIds } from "../kernel/btrfs-quota.ts";
import { projectOf } from "../kernel/quota.ts";
import type { DriverName } from "./driver.ts";
import { storageDriver } from "./drivers.ts";
import { diskFaults } from "./pool-health.ts";
import { type PoolRecord, poolRoot } from "./pool-record.ts";
import { projectClaims, projectOwner } from "./project-ids.ts";
import { quotaFault } from "./quota-probe.ts";

/** Faults of a pool, in words; none when it is sound. `owners` are the volumes that containers have in it. */
export async function poolFaults(
  { driver }: PoolRecord,
  owners: ReadonlyMap<string, string>,
): Promise<readonly string[]> {
  const root = poolRoot(driver);
  const faults = diskFaults(driver);
  const unwritable = writeFault(root);
  if (unwritable !== undefined) return [...faults, unwritable, ...comparedIfReadable(driver, owners)];
  const volumes = storageDriver(driver).volumes();
  return [...faults, ...(await quotaFaults(driver, root, volumes)), ...compared(volumes, owners)];
}

/** What cannot be listed is said by the disk's own fault. */
function comparedIfReadable(driver: DriverName, owners: ReadonlyMap<string, string>): readonly string[] {
  try {
    return compared(storageDriver(driver).volumes(), owners);
  } catch {
    return [];
  }
}

function compared(volumes: readonly string[], owners: ReadonlyMap<string, string>): readonly string[] {
  const there = new Set(volumes);
  return [
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
    ...(fault === undefined ? [] : [`simple quota does not hold: ${fault}`]),
    ...volumes
      .filter((id) => !groups.has(subvolumeId(`${root}/${id}`)))
      .map((id) => `the volume ${id} belongs to no quota group: no limit holds`),
  ];
}
