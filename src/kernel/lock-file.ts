/**
 * Locks in files of their own, which are removed with what they protect. flock(2) belongs to the open file
 * description: a killed process lets go at once, a child that inherited the fd holds on.
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { type BerthError, errnoOf } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { tryLock } from "./flock.ts";

/** How long a command waits for another one, and how often it looks. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 10;

/** Waits for the lock; gives its fd. `busy` makes the error of one that waited too long, from who holds it. */
export async function takeLockFile(path: string, busy: (holder: string) => BerthError): Promise<number> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const fd = tryLockFile(path);
    if (fd !== undefined) return fd;
    if (Date.now() > deadline) throw busy(readFileSync(path, "utf8").trim() || "another command");
    await Bun.sleep(LOOK_MS);
  }
}

/** The lock's fd if it is free now. */
export function tryLockFile(path: string): number | undefined {
  makeDirs(dirname(path));
  const fd = openSync(path, "a+", 0o600);
  if (tryLock(fd) && isCurrent(fd, path)) {
    ftruncateSync(fd);
    writeSync(fd, `process ${process.pid} (${process.argv.slice(2, 4).join(" ")})\n`);
    return fd;
  }
  closeSync(fd);
  return undefined;
}

/** The file goes with what it protects: what was locked must still be what others will open. */
export function isCurrent(fd: number, path: string): boolean {
  try {
    const [held, there] = [fstatSync(fd), statSync(path)];
    return held.ino === there.ino && held.dev === there.dev;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Removes it; its holder only, as the last act on what was removed. */
export const dropLock = (path: string): void => rmSync(path, { force: true });
