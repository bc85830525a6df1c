/** Backups in a directory: what they are called, and which are too many. */
import { lstatSync, rmSync } from "node:fs";
import { listIfExists, syncDir } from "../base/files.ts";
import type { Compression } from "../storage/archive/compress.ts";
import { snapshotNameAt } from "./snapshot-schedule.ts";

const endings: Readonly<Record<Compression, string>> = {
  zstd: ".tar.zst",
  gzip: ".tar.gz",
  xz: ".tar.xz",
  none: ".tar",
};

/** "web1-20261124-061500.tar.zst", in UTC: sorts by time. */
export const backupFileName = (container: string, time: Date, compression: Compression): string =>
  `${container}-${snapshotNameAt(time)}${endings[compression]}`;

/** Files of exactly that form, of this container and no other, oldest first. Names of containers hold nothing that a pattern takes for more. */
export function backupFiles(dir: string, container: string): readonly string[] {
  const form = new RegExp(`^${container}-(\\d{8}-\\d{6})\\.tar(\\.zst|\\.gz|\\.xz)?$`);
  const time = (file: string): string => form.exec(file)?.[1] ?? "";
  return listIfExists(dir)
    .filter(
      (file) => form.test(file) && lstatSync(`${dir}/${file}`, { throwIfNoEntry: false })?.isFile() === true,
    )
    .sort((a, b) => (time(a) < time(b) ? -1 : 1));
}

/** Removes the oldest of them beyond those to be kept; gives their names. */
export function removeOldBackups(dir: string, container: string, keep: number): readonly string[] {
  const files = backupFiles(dir, container);
  const old = files.slice(0, Math.max(0, files.length - keep));
  for (const file of old) rmSync(`${dir}/${file}`, { force: true });
  if (old.length > 0) syncDir(dir);
  return old;
}
