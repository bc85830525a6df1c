/** What volumes take on the host, and what room there is. */
import { existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import type { DriverName } from "./driver.ts";
import { storageDriver } from "./drivers.ts";
import { poolRoot } from "./pool-record.ts";
import { run } from "./program.ts";

/** Bytes that volumes of a driver take together. Where the driver does not count, their files are looked at one by one. */
export async function allocatedBytes(driver: DriverName, ids: readonly string[]): Promise<number> {
  const counted = ids.map((id) => ({ id, bytes: storageDriver(driver).usage(id).allocated }));
  const known = counted.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
  const others = counted.flatMap(({ id, bytes }) =>
    bytes === undefined ? [`${poolRoot(driver)}/${id}`] : [],
  );
  return known + (others.length === 0 ? 0 : await treeBytes(others));
}

/** Files that guests remove meanwhile make du fail, and its figures no worse. */
async function treeBytes(directories: readonly string[]): Promise<number> {
  const { stdout } = await run("du", [
    ...["--summarize", "--total", "--one-file-system", "--block-size=1", "--", ...directories],
  ]);
  return Number(/(\d+)\ttotal\n$/.exec(stdout)?.[1] ?? 0);
}

/** Bytes that are free where a driver keeps its volumes. */
export function freeBytes(driver: DriverName): number {
  let dir = poolRoot(driver);
  while (!existsSync(dir)) dir = dirname(dir); // made with the first volume
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}
