/**
 * Where a driver keeps its volumes: a directory of berth's own, or a pool that `berth pool create` made. A pool on a
 * device or in a file is mounted, once for all guests, by the first command that needs it.
 */
import { closeSync, existsSync, mkdirSync, openSync, statSync } from "node:fs";
import { BerthError, errnoOf } from "../base/errors.ts";
import { listIfExists, readIfExists } from "../base/files.ts";
import { poolDir } from "../base/paths.ts";
import { driverNames } from "../config/storage-drivers.ts";
import { enableSimpleQuota, hasSimpleQuota } from "../kernel/btrfs-quota.ts";
import { tryLock } from "../kernel/flock.ts";
import type { DriverName } from "./driver.ts";
import { loopOf } from "./loops.ts";
import { mustSync } from "./program.ts";

export type FileSystem = "ext4" | "xfs" | "btrfs";

/** Those that keep project quota. */
export type ProjectFileSystem = Exclude<FileSystem, "btrfs">;

/** What lies in pool/DRIVER.json. */
export type PoolRecord = {
  readonly version: 1;
  readonly driver: DriverName;
  /** file: a loop file of berth's own. directory: one on a file system that somebody else mounts. */
  readonly source: { readonly kind: "file" | "device" | "directory"; readonly path: string };
  readonly fileSystem: FileSystem;
  /** Of the file system; "" for a directory. */
  readonly uuid: string;
};

/** In the root of a pool that is a directory: tells that its file system is mounted. */
export const MARKER = ".berth-pool";

const PATIENCE_MS = 60_000;
const LOOK_MS = 10;

export const recordFile = (driver: DriverName): string => `${poolDir()}/${driver}.json`;
export const mountPoint = (driver: DriverName): string => `${poolDir()}/${driver}`;

/** The driver's pool, or undefined when none was made. */
export function readPool(driver: DriverName): PoolRecord | undefined {
  const text = readIfExists(recordFile(driver));
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as PoolRecord; // written by createPool, atomically
  } catch (error) {
    throw new BerthError("config.unreadable", `${recordFile(driver)} is damaged`, "restore it", error);
  }
}

/** Where pools are that somebody else's file systems hold. */
export const poolPlaces = (): readonly string[] =>
  driverNames.flatMap((name) => readPool(name)?.source.path ?? []);

/** The directory of the driver's volumes, its pool mounted if it has one. */
export function poolRoot(driver: DriverName, pool: PoolRecord | undefined = readPool(driver)): string {
  if (pool === undefined) return mountPoint(driver);
  if (pool.source.kind !== "directory") {
    if (!isMounted(driver)) withPoolLock(() => mountPool(pool));
    return mountPoint(driver);
  }
  if (!existsSync(`${pool.source.path}/${MARKER}`))
    throw new BerthError(
      "storage.failed",
      `${pool.source.path} does not hold the pool of driver ${driver}`,
      "mount the file system that has it",
    );
  return pool.source.path;
}

/** Whether something is mounted at the pool's place, also what does not answer any more. */
export function isMounted(driver: DriverName): boolean {
  try {
    const there = statSync(mountPoint(driver), { throwIfNoEntry: false });
    return there !== undefined && there.dev !== statSync(poolDir()).dev;
  } catch (error) {
    if (errnoOf(error) === "EIO") return true;
    throw error;
  }
}

/** Mounts it unless it is; the caller holds the pool lock. The loop device goes with the mount. */
export function mountPool({ driver, source, fileSystem, uuid }: PoolRecord): void {
  if (isMounted(driver)) return;
  mkdirSync(mountPoint(driver), { recursive: true, mode: 0o700 });
  const options = [
    ...(driver === "project" ? ["prjquota", "usrquota", "grpquota"] : []),
    ...(source.kind === "file" ? ["discard"] : []),
    ...(fileSystem === "ext4" ? ["errors=remount-ro"] : []),
    "rw",
  ].join(",");
  if (source.kind !== "directory" && !existsSync(source.path))
    throw new BerthError(
      "storage.failed",
      `${source.path}, which holds the pool of driver ${driver}, is missing`,
      source.kind === "file" ? "mount the file system that has it" : "plug the disk in",
    );
  const loop = source.kind === "file" ? attach(source.path) : undefined;
  try {
    mustSync("storage.failed", `cannot mount the pool ${source.path}`, "mount", [
      ...["-t", fileSystem, "-o", options, "--"],
      ...[loop ?? `UUID=${uuid}`, mountPoint(driver)],
    ]);
  } finally {
    // A device that is in use goes with its last user.
    if (loop !== undefined)
      mustSync("storage.failed", `cannot let go of ${loop}`, "losetup", ["--detach", loop]);
  }
  // Once on it stays on: this is for a pool that is being made.
  if (driver === "btrfs" && !hasSimpleQuota(uuid)) enableSimpleQuota(mountPoint(driver));
}

/** Direct I/O saves the second copy in the page cache; not every file system under the file has it. */
function attach(file: string): string {
  const there = loopOf(file);
  if (there !== undefined) return `/dev/${there}`;
  const attachWith = (directIo: "on" | "off"): string =>
    mustSync("storage.failed", `cannot attach ${file}`, "losetup", [
      ...["--find", "--show", `--direct-io=${directIo}`, "--", file],
    ]).trim();
  try {
    return attachWith("on");
  } catch {
    return attachWith("off");
  }
}

/** Runs `work` while nobody else mounts, makes or removes a pool. */
export function withPoolLock<T>(work: () => T): T {
  mkdirSync(poolDir(), { recursive: true, mode: 0o700 });
  const fd = openSync(poolDir(), "r");
  try {
    for (let waited = 0; !tryLock(fd); waited += LOOK_MS) {
      if (waited > PATIENCE_MS)
        throw new BerthError("storage.in-use", "another command works on the pool", "wait for it, or end it");
      Bun.sleepSync(LOOK_MS);
    }
    return work();
  } finally {
    closeSync(fd);
  }
}

/** Volumes of a driver that keeps each in a directory named by its id. */
export function volumeDirectories(root: string): readonly string[] {
  return listIfExists(root).filter((name) => !name.startsWith(".") && name !== "lost+found");
}
