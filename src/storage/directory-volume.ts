/** What drivers share that keep a volume in a directory of a mounted file system. */
import { existsSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { BerthError } from "../base/errors.ts";
import { syncDir } from "../base/files.ts";
import type { StorageDriver } from "./driver.ts";

export function directoryMethods(
  volumeOf: (id: string) => string,
): Pick<StorageDriver, "rename" | "seal" | "withVolume" | "mountRecords"> {
  const mustExist = (id: string): string => {
    if (existsSync(volumeOf(id))) return volumeOf(id);
    throw new BerthError("storage.failed", `the volume ${id} does not exist`, "remove the container");
  };
  return {
    rename: async (id, to) => renameVolume(mustExist(id), volumeOf(to)),
    seal: async () => {},
    withVolume: async (id, work) => await work(mustExist(id)),
    mountRecords: (id, as, mode) => [["bind", as, volumeOf(id), ...(mode === "ro" ? ["ro"] : [])]],
  };
}

/** Never onto a volume that is there: rename(2) refuses a directory that is not empty. */
export function renameVolume(from: string, to: string): void {
  renameSync(from, to);
  syncDir(dirname(to));
}
