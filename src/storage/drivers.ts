/** The storage drivers by name. */
import { btrfsDriver } from "./btrfs.ts";
import type { DriverName, StorageDriver } from "./driver.ts";
import { imageDriver } from "./image.ts";
import { plainDriver } from "./plain.ts";
import { readPool } from "./pool-record.ts";
import { projectDriver } from "./project.ts";

const drivers: Readonly<Record<DriverName, StorageDriver>> = {
  project: projectDriver,
  image: imageDriver,
  btrfs: btrfsDriver,
  plain: plainDriver,
};

export function storageDriver(name: DriverName): StorageDriver {
  return drivers[name];
}

/**
 * The driver for a new container when nobody chose one: `project` or `btrfs` where a pool was made
 * for it (and seen to hold its limits), else `image`. `plain` is never
 * chosen here: a limit that does not hold is something to be asked for.
 */
export async function chooseDriver(): Promise<DriverName> {
  return (["project", "btrfs"] as const).find((name) => readPool(name) !== undefined) ?? "image";
}
