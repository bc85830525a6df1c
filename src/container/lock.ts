/** One lock a container, held by every command that changes it, and by berth-launch until a start is decided. */
import { closeSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";
import { tryLock } from "../kernel/flock.ts";
import { dropLock, isCurrent, takeLockFile, tryLockFile } from "../kernel/lock-file.ts";

export type ContainerLock = { readonly name: string; readonly fd: number };

/** Runs `work` under the container's lock. Waits for another command; throws container.busy when that takes too long. */
export async function withLock<T>(name: string, work: (lock: ContainerLock) => Promise<T>): Promise<T> {
  const fd = await takeLockFile(
    containerPaths(name).lock,
    (holder) =>
      new BerthError(
        "container.busy",
        `container ${name} is busy: ${holder} holds its lock`,
        "wait for it, or end it",
      ),
  );
  try {
    return await work({ name, fd });
  } finally {
    closeSync(fd);
  }
}

/** The lock if it is free now. */
export function tryTakeLock(name: string): ContainerLock | undefined {
  const fd = tryLockFile(containerPaths(name).lock);
  return fd === undefined ? undefined : { name, fd };
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

/** Removes the lock's file; its holder only, as the last act on a removed container. */
export const dropLockFile = ({ name }: ContainerLock): void => dropLock(containerPaths(name).lock);
