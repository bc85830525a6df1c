/** The storage drivers by name. */
import type { DriverName, StorageDriver } from "./driver.ts";
import { imageDriver } from "./image.ts";
import { plainDriver } from "./plain.ts";

const drivers: Readonly<Record<DriverName, StorageDriver>> = { image: imageDriver, plain: plainDriver };

export function storageDriver(name: DriverName): StorageDriver {
  return drivers[name];
}

/**
 * The driver for a new container when nobody chose one: the best that enforces its limits. `plain` is never
 * chosen here: a limit that does not hold is something to be asked for.
 */
export async function chooseDriver(): Promise<DriverName> {
  return "image";
}
