/** What drivers share that change limits of volumes in use. */
import { BerthError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { VolumeLimits, VolumeUsage } from "./driver.ts";

/** Refuses limits below what the volume holds. */
export function refuseBelowUse(
  id: string,
  { bytes, inodes }: VolumeLimits,
  { usedBytes = 0, usedInodes = 0 }: Pick<VolumeUsage, "usedBytes" | "usedInodes">,
): void {
  if (bytes !== undefined && bytes < usedBytes)
    throw new BerthError(
      "storage.failed",
      `the volume ${id} holds too much to be shrunk to ${formatSize(bytes)}`,
      `it holds ${formatSize(usedBytes)}; remove some files in the container first`,
    );
  if (inodes !== undefined && inodes < usedInodes)
    throw new BerthError(
      "storage.failed",
      `the volume ${id} holds too many files for a limit of ${inodes}`,
      `it holds ${usedInodes}; remove some files in the container first`,
    );
}
