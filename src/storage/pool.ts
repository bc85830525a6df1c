/** Pools: made, told, grown, trimmed, checked and removed. */
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { isAbsolute } from "node:path";
import { BerthError } from "../base/errors.ts";
import { listIfExists, readIfExists, syncDir, writeAtomic } from "../base/files.ts";
import { poolDir } from "../base/paths.ts";
import { type Progress, silent } from "../base/progress.ts";
import { withUndo } from "../base/undo.ts";
import { formatSize } from "../base/units.ts";
import { driverNames } from "../config/storage-drivers.ts";
import { CAP_SYS_RESOURCE, hasCapability } from "../kernel/capabilities.ts";
import type { DriverName } from "./driver.ts";
import { storageDriver } from "./drivers.ts";
import { formatPool } from "./format.ts";
import { loopOf } from "./loops.ts";
import {
  type FileSystem,
  isMounted,
  MARKER,
  mountPoint,
  mountPool,
  type PoolRecord,
  poolRoot,
  readPool,
  recordFile,
  withPoolLock,
} from "./pool-record.ts";
import { must, mustSync, type ProgramName, run } from "./program.ts";
import { kernelQuotaFault, type QuotaDriver, quotaFault } from "./quota-probe.ts";
import { allocatedBytes } from "./volume-space.ts";

export type PoolRequest = {
  /** The best that works here when left out. */
  readonly driver: DriverName | undefined;
  readonly fileSystem: FileSystem;
  readonly place:
    | { readonly kind: "file"; readonly bytes: number }
    | { readonly kind: "device"; readonly path: string; readonly wipe: boolean }
    | { readonly kind: "directory"; readonly path: string };
};

export type PoolInfo = {
  readonly driver: DriverName;
  /** own: no pool was made, they lie in a directory of berth's own. */
  readonly source: PoolRecord["source"] | { readonly kind: "own"; readonly path: string };
  /** null for a directory of berth's own. */
  readonly fileSystem: FileSystem | null;
  readonly mountedAt: string;
  readonly size: number;
  /** Of its file system; what the volumes take in a directory of berth's own. */
  readonly used: number;
  readonly free: number;
  readonly volumes: number;
  /** Sum of all volumes' limits: above `size` the pool is overbooked. */
  readonly promised: number;
  /** Volumes without a limit. */
  readonly unlimited: number;
  /** Of a loop file; null otherwise. */
  readonly directIo: boolean | null;
};

/** What to say of the quota that a driver builds on, and what it needs from the host and from a directory that is given. */
const quotas = {
  project: {
    name: "project quota",
    needsHere: "modprobe quota_v2, or a kernel with CONFIG_QFMT_V2 (Debian's and Ubuntu's have it)",
    needsThere: "the file system must be ext4 or XFS mounted with prjquota",
  },
  btrfs: {
    name: "simple quota of btrfs",
    needsHere: "Linux 6.7 or later with btrfs, and apt-get install btrfs-progs",
    needsThere: "the file system must be btrfs with simple quota: btrfs quota enable --simple",
  },
} as const;

const keepsQuota = (driver: DriverName): driver is QuotaDriver => driver in quotas;

const loopFile = (driver: DriverName): string => `${poolDir()}/${driver}.img`;

/** Makes the pool, whole or not at all, and proves that its limits hold. */
export async function createPool(request: PoolRequest, progress: Progress = silent): Promise<PoolRecord> {
  const driver = request.driver ?? (await bestDriver(request.fileSystem, progress));
  if (keepsQuota(driver) && request.driver !== undefined) await needQuota(driver, request.fileSystem);
  refuseTaken(driver);
  mkdirSync(poolDir(), { recursive: true, mode: 0o700 });
  chmodSync(poolDir(), 0o700);
  return await withUndo(async (undo) => {
    progress.emit({ type: "step", label: "making the pool" });
    const pool = await fillPlace(driver, request);
    undo.push(() => dropPool(pool));
    withPoolLock(() => {
      refuseTaken(driver);
      writeAtomic(recordFile(driver), `${JSON.stringify(pool, null, 2)}\n`);
      if (pool.source.kind !== "directory") mountPool(pool);
    });
    const root = poolRoot(driver);
    if (pool.source.kind !== "directory") {
      chmodSync(root, 0o700);
      if (existsSync(`${root}/lost+found`)) rmdirSync(`${root}/lost+found`); // e2fsck makes it when it needs one
    }
    const fault = keepsQuota(driver) ? await quotaFault(driver, root) : undefined;
    if (keepsQuota(driver) && fault !== undefined)
      throw new BerthError(
        "host.missing-feature",
        `${quotas[driver].name} does not hold at ${root}: ${fault}`,
        quotas[driver].needsThere,
      );
    return pool;
  });
}

async function bestDriver(fileSystem: FileSystem, progress: Progress): Promise<DriverName> {
  if (fileSystem === "btrfs") return "btrfs";
  const fault = await kernelQuotaFault("project", fileSystem);
  if (fault === undefined) return "project";
  progress.emit({
    type: "warning",
    text: `project quota does not work here (${fault}); the pool is for driver image`,
  });
  return "image";
}

async function needQuota(driver: QuotaDriver, fileSystem: FileSystem): Promise<void> {
  if ((driver === "btrfs") !== (fileSystem === "btrfs"))
    throw new BerthError(
      "usage.bad-argument",
      `a pool of driver ${driver} cannot be on ${fileSystem}`,
      driver === "btrfs" ? "leave --fs out" : "--fs ext4 or --fs xfs",
    );
  const fault = await kernelQuotaFault(driver, fileSystem);
  if (fault === undefined) return;
  throw new BerthError(
    "host.missing-feature",
    `${quotas[driver].name} does not work on this host: ${fault}`,
    `${quotas[driver].needsHere}; --driver image works without`,
  );
}

function refuseTaken(driver: DriverName): void {
  if (readPool(driver) !== undefined)
    throw new BerthError(
      "pool.exists",
      `there is a pool for driver ${driver} already`,
      "`berth pool grow` makes it larger",
    );
  if (isMounted(driver) || listIfExists(mountPoint(driver)).length > 0)
    throw new BerthError(
      "pool.exists",
      `${mountPoint(driver)} holds volumes already`,
      "a pool is made before the first volume of its driver: `berth move` brings stopped containers to another driver, and back when the pool is there",
    );
}

async function fillPlace(driver: DriverName, { fileSystem, place }: PoolRequest): Promise<PoolRecord> {
  const uuid = crypto.randomUUID();
  const shared = { version: 1, driver, fileSystem } as const;
  if (place.kind === "directory") {
    refuseDirectory(place.path);
    writeFileSync(`${place.path}/${MARKER}`, `${driver}\n`, { flag: "wx" });
    chmodSync(place.path, 0o700);
    return { ...shared, uuid: "", source: { kind: "directory", path: place.path } };
  }
  if (place.kind === "device") {
    await refuseDevice(place.path, place.wipe);
    await formatPool(place.path, fileSystem, driver, uuid);
    return { ...shared, uuid, source: { kind: "device", path: place.path } };
  }
  const file = loopFile(driver);
  // Without a record no volume ever was in it: what a creation that was killed has left.
  rmSync(file, { force: true });
  const fd = openSync(file, "wx", 0o600);
  try {
    ftruncateSync(fd, place.bytes);
  } finally {
    closeSync(fd);
  }
  try {
    await formatPool(file, fileSystem, driver, uuid);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
  return { ...shared, uuid, source: { kind: "file", path: file } };
}

function refuseDirectory(path: string): void {
  if (!isAbsolute(path) || !existsSync(path) || !statSync(path).isDirectory())
    throw new BerthError("usage.bad-argument", `${path} is not the absolute path of a directory`);
  if (readdirSync(path).length > 0)
    throw new BerthError("usage.bad-argument", `${path} is not empty`, "name an empty directory");
}

async function refuseDevice(path: string, wipe: boolean): Promise<void> {
  if (!existsSync(path) || !statSync(path).isBlockDevice())
    throw new BerthError("usage.bad-argument", `${path} is not a block device`);
  if (wipe) return;
  // blkid(8): 2 when it finds nothing, 8 when it cannot tell what of several it is.
  const found = await run("blkid", ["-p", "-o", "value", "-s", "TYPE", "-s", "PTTYPE", "--", path]);
  if (found.code === 2) return;
  throw new BerthError(
    "usage.bad-argument",
    `${path} is in use: it holds ${found.stdout.trim().replaceAll("\n", " ") || "something"}`,
    "--wipe destroys what is on it",
  );
}

/** Takes a pool without volumes apart. Each step may be done already. */
function dropPool({ driver, source }: PoolRecord): void {
  withPoolLock(() => {
    if (source.kind === "directory") rmSync(`${source.path}/${MARKER}`, { force: true });
    else if (isMounted(driver))
      mustSync("storage.failed", "cannot unmount the pool", "umount", ["--", mountPoint(driver)]);
    if (existsSync(mountPoint(driver))) rmdirSync(mountPoint(driver));
    if (source.kind === "file") rmSync(source.path, { force: true });
    rmSync(recordFile(driver), { force: true });
    syncDir(poolDir());
  });
}

/** Removes a pool that holds no volume. A device keeps its file system. */
export function removePool(driver: DriverName): void {
  const pool = needPool(driver);
  const gone = pool.source.kind === "file" && !existsSync(pool.source.path);
  const volumes = gone ? [] : storageDriver(driver).volumes();
  if (volumes.length > 0)
    throw new BerthError(
      "pool.in-use",
      `the pool of driver ${driver} holds ${volumes.length} volume${volumes.length === 1 ? "" : "s"}`,
      "remove the containers first",
    );
  dropPool(pool);
}

/** The pool of the driver; of the only pool there is when nobody says which. */
export function needPool(driver: DriverName | undefined): PoolRecord {
  const pools = driverNames.flatMap((name) => readPool(name) ?? []);
  const [found, other] = driver === undefined ? pools : pools.filter((pool) => pool.driver === driver);
  if (found === undefined)
    throw new BerthError(
      "pool.not-found",
      driver === undefined ? "there is no pool" : `there is no pool for driver ${driver}`,
      "`berth pool create` makes one; without one, volumes lie in berth's own directory",
    );
  if (other !== undefined)
    throw new BerthError(
      "usage.bad-argument",
      `there are pools for ${pools.map((pool) => pool.driver).join(" and ")}`,
      "--driver says which",
    );
  return found;
}

/** Every pool there is, and what else holds volumes. */
export async function allPools(): Promise<readonly PoolInfo[]> {
  const pools = driverNames.map(async (driver) => {
    const pool = readPool(driver);
    if (pool !== undefined) return [poolInfo(pool)];
    const volumes = storageDriver(driver).volumes();
    if (volumes.length === 0) return [];
    const source = { kind: "own", path: mountPoint(driver) } as const;
    const used = await allocatedBytes(driver, volumes);
    return [{ ...poolInfo({ driver, source, fileSystem: null }), used }];
  });
  return (await Promise.all(pools)).flat();
}

function poolInfo({
  driver,
  source,
  fileSystem,
}: Pick<PoolInfo, "driver" | "source" | "fileSystem">): PoolInfo {
  const root = poolRoot(driver);
  const { blocks, bavail, bfree, bsize } = statfsSync(root);
  const volumes = storageDriver(driver).volumes();
  const limits = volumes.map((id) => storageDriver(driver).usage(id).bytes);
  const loop = source.kind === "file" ? loopOf(source.path) : undefined;
  return {
    driver,
    source,
    fileSystem,
    mountedAt: root,
    size: blocks * bsize,
    used: (blocks - bfree) * bsize,
    free: bavail * bsize,
    volumes: volumes.length,
    promised: limits.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0),
    unlimited: limits.filter((bytes) => bytes === undefined).length,
    directIo: loop === undefined ? null : readIfExists(`/sys/block/${loop}/loop/dio`)?.trim() === "1",
  };
}

/** Makes a pool as large as its device has become, or its file `bytes` large; guests go on. Repeating it completes it. */
export async function growPool(pool: PoolRecord, bytes: number | undefined): Promise<PoolInfo> {
  const { driver, source, fileSystem } = pool;
  const root = poolRoot(driver);
  if (source.kind === "directory")
    throw new BerthError("usage.bad-argument", "a pool in a directory is as large as its file system");
  if (source.kind === "device" && bytes !== undefined)
    throw new BerthError(
      "usage.bad-argument",
      `the pool takes all of ${source.path}`,
      "make the partition larger, then grow without --size",
    );
  needRight(fileSystem);
  const before = statfsSync(root).blocks;
  const file = source.kind === "file" ? growFile(source.path, bytes) : undefined;
  try {
    const [program, ...args] = growCommand(fileSystem, root, file?.device ?? source.path);
    await must("storage.failed", "cannot grow the pool", program, args);
  } catch (error) {
    if (statfsSync(root).blocks === before) file?.undo();
    throw error;
  }
  return poolInfo(pool);
}

/** ext4 asks for it (fs/ext4/resize.c, ext4_resize_begin). */
function needRight(fileSystem: FileSystem): void {
  if (fileSystem !== "ext4" || hasCapability(CAP_SYS_RESOURCE)) return;
  throw new BerthError(
    "host.missing-feature",
    "cannot grow the pool: making a mounted ext4 larger needs CAP_SYS_RESOURCE, which this process lacks",
    "run it outside of the container or service that took the capability away",
  );
}

function growCommand(
  fileSystem: FileSystem,
  root: string,
  device: string,
): readonly [ProgramName, ...string[]] {
  if (fileSystem === "xfs") return ["xfs_growfs", root];
  if (fileSystem === "btrfs") return ["btrfs", "filesystem", "resize", "max", root];
  return ["resize2fs", device];
}

/** Makes file and loop device larger, which is harmless by itself. */
function growFile(
  file: string,
  bytes: number | undefined,
): { readonly device: string; readonly undo: () => void } {
  const now = statSync(file).size;
  if (bytes === undefined)
    throw new BerthError("usage.bad-argument", "how large shall the pool become?", "--size SIZE");
  if (bytes < now)
    throw new BerthError(
      "usage.bad-argument",
      `the pool has ${formatSize(now)} and cannot shrink`,
      "`berth move` brings stopped containers to another driver; remove the pool then, and make a smaller one",
    );
  const loop = loopOf(file);
  if (loop === undefined) throw new BerthError("storage.failed", `${file} has no loop device`);
  const device = `/dev/${loop}`;
  const resize = (size: number): void => {
    truncateSync(file, size);
    mustSync("storage.failed", "cannot grow the pool", "losetup", ["--set-capacity", device]);
  };
  resize(bytes);
  return { device, undo: () => resize(now) };
}

/** Gives freed blocks back to the disk or the host's file system; says what fstrim said. */
export async function trimPool({ driver }: PoolRecord): Promise<string> {
  const trimmed = await must("storage.failed", "cannot trim the pool", "fstrim", ["-v", poolRoot(driver)]);
  return trimmed.stdout.trim();
}
