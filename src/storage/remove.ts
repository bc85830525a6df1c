/** Removing trees that a guest filled. */
import { existsSync, statSync } from "node:fs";
import { btrfsUuid, destroySubvolume, subvolumeId } from "../kernel/btrfs.ts";
import { removeGroup } from "../kernel/btrfs-quota.ts";
import { must } from "./program.ts";

/**
 * Removes a directory with all that is in it, on one file system; fine when it is not there. rm(1) goes by
 * directory fds: names of any bytes and trees deeper than PATH_MAX, which a guest can make, are no obstacle.
 */
export async function removeDirectory(path: string): Promise<void> {
  await must("storage.failed", `cannot remove ${path}`, "rm", ["-rf", "--one-file-system", "--", path]);
}

/** The inode of a subvolume's root (linux/btrfs_tree.h, BTRFS_FIRST_FREE_OBJECTID). */
const SUBVOLUME_INODE = 256;

/**
 * Removes a subvolume of `root` with all that is in it and its quota group; fine when it is not there. The group goes
 * first: it stands in no directory, where the next removal would find it; and in a full one nothing can be removed.
 */
export async function removeSubvolume(root: string, name: string): Promise<void> {
  const path = `${root}/${name}`;
  if (!existsSync(path)) return;
  if (statSync(path).ino !== SUBVOLUME_INODE) return await removeDirectory(path);
  const subvolume = subvolumeId(path);
  removeGroup(root, btrfsUuid(root), subvolume);
  destroySubvolume(root, subvolume);
}
