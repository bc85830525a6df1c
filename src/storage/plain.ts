/**
 * The `plain` driver: a directory per container on the host's own file system. No limit holds: a guest can fill the
 * host. For hosts without loop devices, and for experiments.
 */
import { chmodSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { makeDirs, syncDir } from "../base/files.ts";
import { poolDir } from "../base/paths.ts";
import { directoryMethods } from "./directory-volume.ts";
import type { StorageDriver } from "./driver.ts";
import { poolRoot, volumeDirectories } from "./pool-record.ts";
import { removeDirectory } from "./remove.ts";

const dir = (): string => poolRoot("plain");
const volumeOf = (id: string): string => `${dir()}/${id}`;

export const plainDriver: StorageDriver = {
  name: "plain",
  enforcesQuota: false,
  refusesLive: () => undefined,
  inodeLimit: "none",
  countsLive: false,
  enforcesSoft: false,
  missing: async () => undefined,
  userQuotaGap: async () => "drivers project and image alone have it",
  create,
  remove,
  exists: (id) => existsSync(volumeOf(id)),
  volumes: () => volumeDirectories(dir()),
  resize: async (id) => {
    if (!existsSync(volumeOf(id)))
      throw new BerthError("storage.failed", `the volume ${id} does not exist`, "remove the container");
  },
  // Counting what is used would mean walking the tree.
  usage: () => ({
    bytes: undefined,
    inodes: undefined,
    usedBytes: undefined,
    usedInodes: undefined,
    allocated: undefined,
  }),
  ...directoryMethods(volumeOf),
};

async function create(id: string): Promise<void> {
  if (existsSync(volumeOf(id))) throw new BerthError("storage.failed", `the volume ${id} exists already`);
  makeDirs(dir());
  chmodSync(poolDir(), 0o700);
  const fresh = `${dir()}/.new-${id}`;
  await removeDirectory(fresh);
  for (const path of [fresh, `${fresh}/upper`, `${fresh}/work`]) mkdirSync(path, { mode: 0o755 });
  renameSync(fresh, volumeOf(id));
  syncDir(dir());
}

async function remove(id: string): Promise<void> {
  await removeDirectory(`${dir()}/.new-${id}`);
  await removeDirectory(volumeOf(id));
}
