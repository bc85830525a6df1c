/** Signs that a pool's disk fails, as far as they show without writing to it or mounting it. */
import { statSync } from "node:fs";
import { BerthError, describeErrno, errnoOf } from "../base/errors.ts";
import { listIfExists, readIfExists } from "../base/files.ts";
import { poolDir } from "../base/paths.ts";
import { driverNames } from "../config/storage-drivers.ts";
import { btrfsUuid } from "../kernel/btrfs.ts";
import { mountOf } from "../kernel/mountinfo.ts";
import type { DriverName } from "./driver.ts";
import { isMounted, mountPoint, poolPlaces, readPool } from "./pool-record.ts";

export type PoolAlarm = {
  readonly driver: DriverName;
  /** What holds the pool: "/dev/sdb1", or a file. */
  readonly device: string;
  /** In words, each naming the device. */
  readonly faults: readonly string[];
};

/** What is wrong with the disks of pools, for those that are mounted. */
export const poolAlarms = (): readonly PoolAlarm[] =>
  driverNames.flatMap((driver) => {
    const faults = diskFaults(driver);
    return faults.length === 0 ? [] : [{ driver, device: deviceOf(driver), faults }];
  });

/** What is wrong with the disk of one driver's pool; none where it has no pool, or that is not mounted. */
export function diskFaults(driver: DriverName): readonly string[] {
  const root = rootInSight(driver);
  if (root === undefined) return [];
  const isBtrfs = readPool(driver)?.fileSystem === "btrfs" && readFault(root) === undefined;
  return [...(isBtrfs ? btrfsErrors(btrfsUuid(root)) : []), ...presentFaults(root, driver)];
}

/** Without what btrfs has counted, which may be long past. */
function presentFaults(root: string, driver: DriverName): readonly string[] {
  const unreadable = readFault(root);
  if (unreadable !== undefined) return [`${deviceOf(driver)} cannot be read: ${unreadable}`];
  return mountFaults(root, deviceOf(driver));
}

/** Where the driver's pool is, if it has one and that is mounted. */
function rootInSight(driver: DriverName): string | undefined {
  const pool = readPool(driver);
  if (pool?.source.kind === "directory") return pool.source.path;
  return pool !== undefined && isMounted(driver) ? mountPoint(driver) : undefined;
}

/** XFS answers everything with EIO once it has shut down. */
function readFault(root: string): string | undefined {
  try {
    statSync(root);
    return undefined;
  } catch (error) {
    return describeErrno(errnoOf(error) ?? String(error));
  }
}

/** ext4 counts the errors that it met (admin-guide/ext4, errors_count), and becomes read-only at the first. */
function mountFaults(root: string, pool: string): readonly string[] {
  const mount = mountOf(root);
  if (mount === undefined) return [];
  const name = deviceName(mount.numbers);
  const errors = Number(readIfExists(`/sys/fs/ext4/${name}/errors_count`) ?? 0);
  const device = name === undefined ? pool : `/dev/${name}`;
  return [
    ...(errors > 0 ? [`${device} has met ${errors} errors; unmount it and run e2fsck`] : []),
    ...(mount.readOnly ? [`${device}: the file system is read-only`] : []),
  ];
}

/** Of each device, since the file system was made (btrfs-device(8), stats). */
const btrfsErrors = (uuid: string): readonly string[] =>
  listIfExists(`/sys/fs/btrfs/${uuid}/devinfo`).flatMap((device) => {
    const stats = readIfExists(`/sys/fs/btrfs/${uuid}/devinfo/${device}/error_stats`) ?? "";
    const met = [...stats.matchAll(/^(\w+) ([1-9]\d*)$/gm)].map(([, kind, count]) => `${count} ${kind}`);
    return met.length === 0
      ? []
      : [
          `device ${device} has met ${met.join(", ")}; \`btrfs scrub\` tells what is hurt, \`btrfs device stats -z\` forgets them`,
        ];
  });

/** The disk with these major and minor numbers, by its name in /dev; undefined for file systems that have none of their own. */
const deviceName = (numbers: string): string | undefined =>
  /^DEVNAME=(.*)$/m.exec(readIfExists(`/sys/dev/block/${numbers}/uevent`) ?? "")?.[1];

const deviceOf = (driver: DriverName): string => readPool(driver)?.source.path ?? mountPoint(driver);

/** What a disk that fails makes of a system call. EUCLEAN is ext4's and XFS's word for damage that they met. */
const diskErrnos: ReadonlySet<string> = new Set(["EIO", "EROFS", "ENXIO", "EUCLEAN"]);

/** Whether it is the disk's: files elsewhere, whose path the error has, may have troubles of their own. */
function isOfDisk(error: unknown): boolean {
  if (!diskErrnos.has(errnoOf(error) ?? "")) return false;
  const path = error instanceof Error && "path" in error ? String(error.path) : undefined;
  return (
    path === undefined || path.startsWith(poolDir()) || poolPlaces().some((place) => path.startsWith(place))
  );
}

/** A damaged record must not hide the error that is looked at. */
function hasPool(driver: DriverName): boolean {
  try {
    return readPool(driver) !== undefined;
  } catch {
    return false;
  }
}

/** What is wrong with the disk now. */
function presentFault(driver: DriverName): string | undefined {
  try {
    const root = rootInSight(driver);
    return root === undefined ? undefined : presentFaults(root, driver)[0];
  } catch {
    return undefined;
  }
}

/** The error of work on a driver's volumes: where the pool's disk fails, it says so and names both. */
export function onPool(driver: DriverName, error: unknown): unknown {
  if (!hasPool(driver) || (error instanceof BerthError && error.code === "host.disk")) return error;
  const fault = presentFault(driver);
  if (fault === undefined && !isOfDisk(error instanceof BerthError ? error.cause : error)) return error;
  const what = error instanceof Error ? error.message : String(error);
  return new BerthError(
    "host.disk",
    `the disk under pool ${driver} fails (${deviceOf(driver)}): ${fault === undefined ? "" : `${fault}; `}${what}`,
    "`dmesg` has the disk's own words, `berth pool check` looks at the pool; what guests had synced is kept (docs/storage.md, When a disk fails)",
    error,
  );
}
