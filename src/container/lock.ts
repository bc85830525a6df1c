/**
 * One lock a container, held by every command that changes it, and by berth-launch until a start is decided. It is
 * flock(2) on an open file description: a killed command lets go at once, a child that inherited it holds on.
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
import { BerthError, errnoOf } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { containerPaths, instance } from "../base/paths.ts";
import { tryLock } from "../kernel/flock.ts";

/** How long a command waits for another one on the same container, and how often it looks. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 10;

export type ContainerLock = { readonly name: string; readonly fd: number };

/** Runs `work` under the container's lock. Waits for another command; throws container.busy when that takes too long. */
export async function withLock<T>(name: string, work: (lock: ContainerLock) => Promise<T>): Promise<T> {
  const lock = await takeLock(name);
  try {
    return await work(lock);
  } finally {
    closeSync(lock.fd);
  }
}

async function takeLock(name: string): Promise<ContainerLock> {
  makeDirs(`${instance.run}/.lock`);
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const lock = tryTakeLock(name);
    if (lock !== undefined) return lock;
    if (Date.now() > deadline) {
      const holder = readFileSync(containerPaths(name).lock, "utf8").trim();
      throw new BerthError(
        "container.busy",
        `container ${name} is busy: ${holder || "another command"} holds its lock`,
        "wait for it, or end it",
      );
    }
    await Bun.sleep(LOOK_MS);
  }
}

/** The lock if it is free now. */
export function tryTakeLock(name: string): ContainerLock | undefined {
  makeDirs(`${instance.run}/.lock`);
  const path = containerPaths(name).lock;
  const fd = openSync(path, "a+", 0o600);
  // The file goes with its container: what was locked must still be what others will open.
  if (tryLock(fd) && isCurrent(fd, path)) {
    ftruncateSync(fd);
    writeSync(fd, `process ${process.pid} (${process.argv.slice(2, 4).join(" ")})\n`);
    return { name, fd };
  }
  closeSync(fd);
  return undefined;
}

/** The lock that the keeper took and passed on as fd 3 when its guest rebooted. */
export function inheritedLock(name: string): ContainerLock | undefined {
  const fd = 3;
  try {
    return isCurrent(fd, containerPaths(name).lock) && tryLock(fd) ? { name, fd } : undefined;
  } catch {
    return undefined;
  }
}

function isCurrent(fd: number, path: string): boolean {
  try {
    const [held, there] = [fstatSync(fd), statSync(path)];
    return held.ino === there.ino && held.dev === there.dev;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Removes the lock's file; its holder only, as the last act on a removed container. */
export function dropLockFile({ name }: ContainerLock): void {
  rmSync(containerPaths(name).lock, { force: true });
}
