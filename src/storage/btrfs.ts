/**
 * The `btrfs` driver: a subvolume per container on a pool of btrfs with simple quota, which holds the overlay's upper
 * and work directories. A group of the container's own counts the subvolume and whatever is made inside it, so that
 * nothing gets out of the limit. It limits bytes alone, and `df` in the guest shows the pool.
 */
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { asBerthError, BerthError } from "../base/errors.ts";
import { syncDir } from "../base/files.ts";
import { btrfsUuid, createSubvolume, snapshotSubvolume, subvolumeId } from "../kernel/btrfs.ts";
import { createGroup, groupOf, hasSimpleQuota, limitGroup } from "../kernel/btrfs-quota.ts";
import { directoryMethods } from "./directory-volume.ts";
import type { StorageDriver, VolumeLimits, VolumeUsage } from "./driver.ts";
import { refuseBelowUse } from "./limits.ts";
import { poolRoot, readPool, volumeDirectories } from "./pool-record.ts";
import { removeSubvolume } from "./remove.ts";

const hasPool = (): boolean => readPool("btrfs") !== undefined;
const volumeOf = (id: string): string => `${poolRoot("btrfs")}/${id}`;
const freshName = (id: string): string => `.new-${id}`;

export const btrfsDriver: StorageDriver = {
  name: "btrfs",
  enforcesQuota: true,
  refusesLive: () => undefined,
  inodeLimit: "none",
  countsLive: true,
  enforcesSoft: false,
  missing,
  userQuotaGap: async () => "drivers project and image alone have it",
  create,
  remove,
  exists: (id) => hasPool() && existsSync(volumeOf(id)),
  volumes: () => (hasPool() ? volumeDirectories(poolRoot("btrfs")) : []),
  resize,
  usage,
  ...directoryMethods(volumeOf),
  snapshot,
};

async function missing(): Promise<string | undefined> {
  if (!hasPool()) return "it has no pool; `berth pool create --driver btrfs` makes one";
  try {
    const root = poolRoot("btrfs");
    return hasSimpleQuota(btrfsUuid(root)) ? undefined : `simple quota is off at ${root}`;
  } catch (error) {
    return asBerthError(error).message;
  }
}

async function create(id: string, limits: VolumeLimits): Promise<void> {
  refuseInodes(limits);
  await publish(id, (root, name) => {
    createSubvolume(root, name);
    // Before anything is in it: what was written earlier would count for nobody.
    newGroup(root, name, limits.bytes);
    for (const path of ["upper", "work"]) mkdirSync(`${root}/${name}/${path}`, { mode: 0o755 });
  });
}

async function snapshot(id: string, to: string): Promise<void> {
  const { bytes } = usage(id);
  await publish(to, (root, name) => {
    snapshotSubvolume(volumeOf(id), root, name);
    newGroup(root, name, bytes);
  });
}

/** Makes the volume under another name, and gives it its own when it is whole. */
async function publish(id: string, make: (root: string, name: string) => void): Promise<void> {
  const root = poolRoot("btrfs");
  if (existsSync(volumeOf(id))) throw new BerthError("storage.failed", `the volume ${id} exists already`);
  const fresh = freshName(id);
  await removeSubvolume(root, fresh);
  try {
    make(root, fresh);
    renameSync(`${root}/${fresh}`, volumeOf(id));
    syncDir(root);
  } catch (error) {
    await removeSubvolume(root, fresh);
    throw asBerthError(error);
  }
}

function newGroup(root: string, name: string, bytes: number | undefined): void {
  const subvolume = subvolumeId(`${root}/${name}`);
  createGroup(root, subvolume);
  limitGroup(root, subvolume, bytes);
}

async function remove(id: string): Promise<void> {
  if (!hasPool()) return;
  for (const name of [id, freshName(id)]) await removeSubvolume(poolRoot("btrfs"), name);
}

async function resize(id: string, limits: VolumeLimits): Promise<void> {
  refuseInodes(limits);
  refuseBelowUse(id, limits, usage(id));
  limitGroup(poolRoot("btrfs"), subvolumeId(volumeOf(id)), limits.bytes);
}

function refuseInodes({ inodes }: VolumeLimits): void {
  if (inodes === undefined) return;
  throw new BerthError(
    "storage.failed",
    `storage driver btrfs cannot limit the number of files to ${inodes}: btrfs has no such limit`,
    "leave --inodes out, or choose --storage project or image",
  );
}

/** `ls` asks for every running container: the pool is looked up once. */
function usage(id: string): VolumeUsage {
  const pool = readPool("btrfs");
  const root = pool === undefined ? undefined : poolRoot("btrfs", pool);
  if (root === undefined || !existsSync(`${root}/${id}`))
    throw new BerthError("storage.failed", `the volume ${id} does not exist`, "remove the container");
  const group = groupOf(pool?.uuid || btrfsUuid(root), subvolumeId(`${root}/${id}`));
  if (group === undefined)
    throw new BerthError(
      "storage.failed",
      `the volume ${id} belongs to no quota group: no limit holds for it`,
      "`berth pool check` tells more",
    );
  const { limit: bytes, used } = group;
  return { bytes, inodes: undefined, usedBytes: used, usedInodes: undefined, allocated: used };
}
