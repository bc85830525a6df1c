import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { driverNames } from "../../config/storage-drivers.ts";
import { createPool, type PoolRequest } from "../../storage/pool.ts";
import { defineCommand } from "../framework/command.ts";

const DEFAULT_SIZE = 20 * 2 ** 30;

export const command = defineCommand({
  name: "pool create",
  summary: "Make a pool: a file system for the volumes of a storage driver",
  description:
    "The pool is a sparse file of berth's own (--size), a partition (--device), or an empty directory (--directory) on a file system that is mounted with prjquota, or on btrfs with simple quota. It is mounted once for all guests, by whichever command needs it first. New containers use driver project once it has a pool.\n\nBefore anything is written, berth runs into a quota of 1 MiB to see whether project quota, or for driver btrfs its simple quota, works on this host, and again in the pool.",
  arguments: [],
  options: [
    {
      name: "driver",
      kind: "choice",
      choices: driverNames,
      summary: "Whose volumes; project where project quota works, else image",
    },
    { name: "size", kind: "size", default: "20G", summary: "Size of the file" },
    { name: "device", kind: "path", summary: "A partition or disk instead of a file" },
    { name: "directory", kind: "path", summary: "An empty directory of a mounted file system instead" },
    {
      name: "fs",
      kind: "choice",
      choices: ["ext4", "xfs", "btrfs"],
      summary: "File system to make; btrfs for driver btrfs, else ext4",
    },
    { name: "wipe", kind: "flag", summary: "Destroy what is on the device" },
  ] as const,
  examples: [
    { command: "berth pool create --size 100G", what: "A sparse file of 100 GiB" },
    { command: "berth pool create --device /dev/sdb1 --fs xfs", what: "A partition, with XFS" },
    { command: "berth pool create --driver btrfs --size 100G", what: "Cheap snapshots, no limit of files" },
  ],
  seeAlso: ["pool info", "create"],
  async run(context) {
    requireRoot();
    const { driver, fs } = context.options;
    const pool = await createPool(
      { driver, fileSystem: fs ?? (driver === "btrfs" ? "btrfs" : "ext4"), place: placeOf(context.options) },
      context.progress,
    );
    context.out.result(pool, () => `pool ${pool.driver}: created (${pool.source.path})`);
  },
});

function placeOf({
  size,
  device,
  directory,
  wipe,
}: {
  readonly size: number | undefined;
  readonly device: string | undefined;
  readonly directory: string | undefined;
  readonly wipe: boolean;
}): PoolRequest["place"] {
  if ([size, device, directory].filter((given) => given !== undefined).length > 1)
    throw new BerthError("usage.bad-argument", "--size, --device and --directory exclude each other");
  if (device !== undefined) return { kind: "device", path: device, wipe };
  if (directory !== undefined) return { kind: "directory", path: directory };
  return { kind: "file", bytes: size ?? DEFAULT_SIZE };
}
