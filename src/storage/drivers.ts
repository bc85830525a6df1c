/** The storage drivers by name. */
import { btrfsDriver } from "./btrfs.ts";
import type { DriverName, StorageDriver } from "./driver.ts";
import { imageDriver } from "./image.ts";
import { plainDriver } from "./plain.ts";
import { onPool } from "./pool-health.ts";
import { readPool } from "./pool-record.ts";
import { projectDriver } from "./project.ts";

const drivers: Readonly<Record<DriverName, StorageDriver>> = {
  project: explained(projectDriver),
  image: explained(imageDriver),
  btrfs: explained(btrfsDriver),
  plain: explained(plainDriver),
};

/** The driver, whose errors tell of a pool's disk that fails. What a caller does with a volume fails in its own words. */
function explained(driver: StorageDriver): StorageDriver {
  const { create, remove, resize, rename, seal, snapshot } = driver;
  return {
    ...driver,
    create: (...words) => create(...words).catch(fail),
    remove: (...words) => remove(...words).catch(fail),
    resize: (...words) => resize(...words).catch(fail),
    rename: (...words) => rename(...words).catch(fail),
    seal: (...words) => seal(...words).catch(fail),
    ...(snapshot === undefined
      ? {}
      : { snapshot: (...words: Parameters<typeof snapshot>) => snapshot(...words).catch(fail) }),
  };
  function fail(error: unknown): never {
    throw onPool(driver.name, error);
  }
}

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
