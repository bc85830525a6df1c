/**
 * The `image` driver: a sparse ext4 file per container holds the overlay's upper and work directories. Works on
 * every kernel; the limit is the size of the file system, so it cannot be passed by anybody, and `df` tells the truth.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
} from "node:fs";
import { BerthError } from "../base/errors.ts";
import { listIfExists, makeDirs, readIfExists, syncDir, writeAtomic } from "../base/files.ts";
import { poolDir } from "../base/paths.ts";
import { formatSize } from "../base/units.ts";
import { CAP_SYS_RESOURCE, hasCapability } from "../kernel/capabilities.ts";
import { mountDetached } from "../kernel/detached.ts";
import { growExt4 } from "../kernel/ext4.ts";
import { attachLoop } from "../kernel/loop.ts";
import type { PlanRecord } from "../kernel/plan.ts";
import type { StorageDriver, VolumeLimits, VolumeMode, VolumeUsage } from "./driver.ts";
import { BLOCK, goldenImage, imageSize, inodeLabel, syncFile } from "./golden.ts";
import { loopOf, waitForLoop } from "./loops.ts";
import { poolRoot } from "./pool-record.ts";
import { describeProgram, findProgram, must, programError, run } from "./program.ts";
import { kernelQuotaFault } from "./quota-probe.ts";
import { readSuperblock } from "./superblock.ts";

/** Size when no limit is set: sparse, so that it costs nothing until it is used. */
const DEFAULT_SIZE = 10 * 2 ** 30;

const dir = (): string => poolRoot("image");
const imageOf = (id: string): string => `${dir()}/${id}.img`;
const growingOf = (id: string): string => `${dir()}/${id}.growing`;
const shrunkOf = (id: string): string => `${dir()}/${id}.shrunk`;

export const imageDriver: StorageDriver = {
  name: "image",
  enforcesQuota: true,
  refusesLive,
  inodeLimit: "fixed",
  countsLive: false,
  enforcesSoft: false,
  missing,
  userQuotaGap: () => kernelQuotaFault("project", "ext4"),
  create,
  remove,
  exists: (id) => existsSync(imageOf(id)),
  volumes: () =>
    listIfExists(dir()).flatMap((file) => (file.endsWith(".img") ? [file.slice(0, -".img".length)] : [])),
  resize,
  usage,
  rename,
  seal,
  withVolume,
  mountRecords,
};

async function missing(): Promise<string | undefined> {
  const absent = (["mke2fs", "e2fsck", "resize2fs", "tune2fs", "losetup", "cp"] as const).find(
    (name) => findProgram(name) === undefined,
  );
  if (absent !== undefined) return describeProgram(absent);
  if (!existsSync("/dev/loop-control") && !(await loads("loop", () => existsSync("/dev/loop-control"))))
    return "loop devices (/dev/loop-control; kernel module loop)";
  if (!hasExt4() && !(await loads("ext4", hasExt4))) return "ext4 (kernel module ext4)";
  return undefined;
}

function hasExt4(): boolean {
  return /\text4$/m.test(readIfExists("/proc/filesystems") ?? "");
}

async function loads(module: string, works: () => boolean): Promise<boolean> {
  if (findProgram("modprobe") === undefined) return false;
  await run("modprobe", ["-q", "--", module]);
  return works();
}

async function create(id: string, limits: VolumeLimits): Promise<void> {
  const image = imageOf(id);
  if (existsSync(image)) throw new BerthError("storage.failed", `the volume ${id} exists already`);
  const golden = await goldenImage(
    imageSize(limits.bytes ?? DEFAULT_SIZE),
    limits.inodes,
    limits.userQuota === true,
  );
  makeDirs(dir());
  chmodSync(poolDir(), 0o700);
  const fresh = `${image}.new`;
  try {
    await must("storage.failed", `cannot make the volume ${id}`, "cp", [
      "--sparse=auto",
      "--reflink=auto",
      "--",
      golden,
      fresh,
    ]);
    chmodSync(fresh, 0o600);
    syncFile(fresh);
    renameSync(fresh, image);
    syncDir(dir());
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

async function remove(id: string): Promise<void> {
  await refuseMounted(id);
  // The image goes last: while it is there the volume exists, and removing it can be repeated.
  for (const path of [growingOf(id), shrunkOf(id), `${imageOf(id)}.new`, imageOf(id)])
    rmSync(path, { force: true });
}

async function refuseMounted(id: string): Promise<void> {
  const loop = await waitForLoop(imageOf(id));
  if (loop === undefined) return;
  throw new BerthError(
    "storage.in-use",
    `the volume ${id} is mounted by /dev/${loop}`,
    "stop the container that uses it; `losetup -l` and `findmnt` tell more",
  );
}

/**
 * Grows in place: killed half way, a note tells the next resize to repair the file system first (nothing was
 * lost when resize2fs was killed at every third of its writes). Shrinking moves data: it is done to a copy, which
 * then takes the place. While a guest runs, the kernel itself makes the file system larger.
 */
async function resize(id: string, limits: VolumeLimits): Promise<void> {
  if (!existsSync(imageOf(id)))
    throw new BerthError("storage.failed", `the volume ${id} does not exist`, "remove the container");
  const wanted = imageSize(limits.bytes ?? DEFAULT_SIZE);
  const { label } = readSuperblock(imageOf(id));
  if (label !== inodeLabel(limits.inodes))
    throw new BerthError(
      "storage.failed",
      `the inode limit of the volume ${id} cannot be changed: ext4 fixes it when it is made`,
      "make a new container with that limit and move the data",
    );
  if (loopOf(imageOf(id)) !== undefined && refusesLive(id, limits) === undefined)
    await growMounted(id, wanted);
  else await resizeUnmounted(id, wanted);
  syncFile(imageOf(id));
  rmSync(growingOf(id), { force: true });
}

/** A mounted file system's superblock on the disk lags behind: its size is that of the file. */
function refusesLive(id: string, limits: VolumeLimits): string | undefined {
  const wanted = imageSize(limits.bytes ?? DEFAULT_SIZE);
  if (wanted < statSync(imageOf(id)).size)
    return `storage driver image makes disks smaller of stopped containers only`;
  return hasCapability(CAP_SYS_RESOURCE)
    ? undefined
    : `making its disk larger needs CAP_SYS_RESOURCE, which this process lacks`;
}

/** Idempotent: one that was cut short is completed by calling it again. */
async function growMounted(id: string, wanted: number): Promise<void> {
  writeAtomic(growingOf(id), `${wanted}\n`);
  await withVolume(id, async (dir) => {
    truncateSync(imageOf(id), wanted);
    await must("storage.failed", `cannot grow the volume ${id}`, "losetup", [
      ...["--set-capacity", `/dev/${loopOf(imageOf(id))}`],
    ]);
    growExt4(dir, wanted / BLOCK);
  });
}

async function resizeUnmounted(id: string, wanted: number): Promise<void> {
  await refuseMounted(id);
  await finishHalfResize(id);
  const now = readSuperblock(imageOf(id)).blocks * BLOCK;
  if (wanted > now) await grow(id, wanted);
  else if (wanted < now) await shrink(id, wanted);
  // The file may have grown before the file system did not.
  if (statSync(imageOf(id)).size !== wanted) truncateSync(imageOf(id), wanted);
}

async function finishHalfResize(id: string): Promise<void> {
  rmSync(shrunkOf(id), { force: true });
  if (!existsSync(growingOf(id))) return;
  // Repairs more than -p dares to: we know what went wrong.
  const repaired = await run("e2fsck", ["-f", "-y", imageOf(id)]);
  if (repaired.code >= 4)
    throw programError(
      "storage.failed",
      `the volume ${id} was damaged by a resize that was killed`,
      "e2fsck",
      repaired,
    );
}

async function check(id: string): Promise<void> {
  const checked = await run("e2fsck", ["-f", "-p", imageOf(id)]);
  // 1: errors were corrected (e2fsck(8)).
  if (checked.code > 1)
    throw programError("storage.failed", `the volume ${id} has errors`, "e2fsck", checked);
}

async function grow(id: string, wanted: number): Promise<void> {
  await check(id);
  writeAtomic(growingOf(id), `${wanted}\n`);
  truncateSync(imageOf(id), wanted);
  await resizeFileSystem(id, imageOf(id), wanted);
}

async function shrink(id: string, wanted: number): Promise<void> {
  await check(id);
  await refuseTooSmall(id, wanted);
  const copy = shrunkOf(id);
  try {
    await must("storage.failed", `cannot copy the volume ${id} to shrink it`, "cp", [
      "--sparse=always",
      "--reflink=auto",
      "--",
      imageOf(id),
      copy,
    ]);
    chmodSync(copy, 0o600);
    await resizeFileSystem(id, copy, wanted);
    truncateSync(copy, wanted);
    syncFile(copy);
    renameSync(copy, imageOf(id));
    syncDir(dir());
  } finally {
    rmSync(copy, { force: true });
  }
}

async function resizeFileSystem(id: string, image: string, wanted: number): Promise<void> {
  await must("storage.failed", `cannot resize the volume ${id}`, "resize2fs", [
    image,
    String(wanted / BLOCK),
  ]);
}

async function refuseTooSmall(id: string, wanted: number): Promise<void> {
  const { stdout } = await must("storage.failed", `cannot size up the volume ${id}`, "resize2fs", [
    "-P",
    imageOf(id),
  ]);
  const least = Number(/: (\d+)\s*$/.exec(stdout)?.[1] ?? 0) * BLOCK;
  if (wanted >= least) return;
  throw new BerthError(
    "storage.failed",
    `the volume ${id} holds too much to be shrunk to ${formatSize(wanted)}`,
    `at least ${formatSize(Math.ceil(least / 2 ** 20) * 2 ** 20)}; remove some files in the container first`,
  );
}

function usage(id: string): VolumeUsage {
  const image = imageOf(id);
  const { blockSize, blocks, freeBlocks, overhead, inodes, freeInodes } = readSuperblock(image);
  return {
    bytes: blocks * blockSize,
    inodes,
    usedBytes: Math.max(0, blocks - freeBlocks - overhead) * blockSize,
    usedInodes: inodes - freeInodes,
    allocated: statSync(image).blocks * 512,
  };
}

/** What is used of a volume that is mounted somewhere: its superblock learns of that only later. undefined when it is not. */
export function mountedUsage(id: string): Pick<VolumeUsage, "usedBytes" | "usedInodes"> | undefined {
  const loop = loopOf(imageOf(id));
  if (loop === undefined) return undefined;
  const fd = mountDetached("ext4", `/dev/${loop}`, []); // the same file system once more, in no mount table
  try {
    const { blocks, bfree, bsize, files, ffree } = statfsSync(`/proc/self/fd/${fd}`);
    return { usedBytes: (blocks - bfree) * bsize, usedInodes: files - ffree };
  } finally {
    closeSync(fd);
  }
}

/**
 * `discard`: what the guest deletes is given back to the host. `noinit_itable`: the inode tables are holes, which
 * the kernel would otherwise fill with zeros in the background: 160 MiB a guest of 10 GiB.
 */
function mountRecords(id: string, as: string, mode: VolumeMode = "rw"): readonly PlanRecord[] {
  const options =
    mode === "ro" ? ["ro"] : ["errors=remount-ro", "discard", "noinit_itable", ...quotaFlags(id)];
  return [["loop", as, imageOf(id), "ext4", options.join(","), mode === "shared" ? "dio,shared" : "dio"]];
}

/** Without them ext4 counts for users and groups, and holds nobody to a limit. */
const quotaFlags = (id: string): readonly string[] =>
  existsSync(imageOf(id)) && readSuperblock(imageOf(id)).userQuota ? ["usrquota", "grpquota"] : [];

async function rename(id: string, to: string): Promise<void> {
  await refuseMounted(id);
  if (existsSync(imageOf(to))) throw new BerthError("storage.failed", `the volume ${to} exists already`);
  await finishHalfResize(id);
  rmSync(growingOf(id), { force: true });
  renameSync(imageOf(id), imageOf(to));
  syncDir(dir());
}

/**
 * The layers of an overlay must have UUIDs of their own, else it forgets hard links (fs/overlayfs/super.c, bad_uuid);
 * and one that is only ever read must have nothing left in its journal.
 */
async function seal(id: string): Promise<void> {
  await refuseMounted(id);
  if (readSuperblock(imageOf(id)).needsRecovery) await check(id);
  await must("storage.failed", `cannot seal the volume ${id}`, "tune2fs", [
    ...["-f", "-U", crypto.randomUUID(), "--", imageOf(id)],
  ]);
}

/** A second mount of a file system that a guest has mounted is the same one; no mount table shows it. */
async function withVolume<T>(
  id: string,
  work: (dir: string) => Promise<T>,
  mode: VolumeMode = "rw",
): Promise<T> {
  const image = imageOf(id);
  if (!existsSync(image))
    throw new BerthError("storage.failed", `the volume ${id} does not exist`, "remove the container");
  const there = loopOf(image);
  const flags = mode === "ro" ? ["ro"] : quotaFlags(id);
  const fd = there === undefined ? mountImage(id, mode, flags) : mountDevice(id, `/dev/${there}`, flags);
  try {
    return await work(`/proc/${process.pid}/fd/${fd}`);
  } finally {
    closeSync(fd);
    if (there === undefined) await waitForLoop(image);
  }
}

/** By a loop device of its own, which goes with its last mount. */
function mountImage(id: string, mode: VolumeMode, flags: readonly string[]): number {
  const { device, fd } = attachLoop(imageOf(id), mode === "ro");
  try {
    return mountDevice(id, device, flags);
  } finally {
    closeSync(fd);
  }
}

function mountDevice(id: string, device: string, flags: readonly string[]): number {
  try {
    return mountDetached("ext4", device, flags);
  } catch (error) {
    throw new BerthError("storage.failed", `cannot mount the volume ${id}`, "`berth pool check`", error);
  }
}
