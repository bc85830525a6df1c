/** How much an import may bring: what the operator allows, and never all that the file system has left. */
import { statfsSync } from "node:fs";
import type { UnpackLimits } from "../archive/unpack-policy.ts";

/** Without --max-size and --max-entries. */
export const defaultLimits = { size: 64 * 2 ** 30, entries: 1_000_000 } as const;

/** A host whose disk is full does not work: a twentieth of it stays free. */
const KEPT_FREE = 1 / 20;

/** The limits of an import into `dir`. File systems without inode tables report none free, and have enough. */
export function importLimits(
  dir: string,
  size: number | undefined,
  entries: number | undefined,
): UnpackLimits {
  const { bavail, bsize, blocks, files, ffree } = statfsSync(dir);
  const inodes = files === 0 ? Number.POSITIVE_INFINITY : Math.floor(ffree * (1 - KEPT_FREE));
  return {
    size: size ?? defaultLimits.size,
    entries: Math.min(entries ?? defaultLimits.entries, inodes),
    space: Math.max(0, Math.floor((bavail - blocks * KEPT_FREE) * bsize)),
  };
}
