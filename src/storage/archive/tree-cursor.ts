/**
 * Where in a tree we are while it is filled: directories are opened one name at a time below an fd, a symbolic link is
 * never entered, and the fds of the directories on the way stay open for the next member, which is mostly near.
 */
import { chmodSync, closeSync, constants, mkdirSync, openSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { O_PATH } from "../../kernel/openat2.ts";

export type TreeCursor = {
  /**
   * A path for `name` in the directory `parents`, anchored by an fd: good until the next call. Missing directories are
   * made (root's, 0755) when `make` says so. Undefined: there is no such directory, or something else is in the way.
   */
  readonly at: (parents: readonly Buffer[], name: Buffer, make: boolean) => Buffer | undefined;
  /** Forgets the directories on the way: one of them may have been removed. */
  readonly forget: () => void;
  readonly close: () => void;
};

const DIRECTORY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** A cursor in the tree at `root`, a directory that nobody else writes to. */
export function treeCursor(root: string): TreeCursor {
  const top = openSync(root, DIRECTORY);
  const open: { readonly name: Buffer; readonly fd: number }[] = [];
  const leave = (depth: number): void => {
    for (const { fd } of open.splice(depth)) closeSync(fd);
  };
  const current = (): number => open.at(-1)?.fd ?? top;
  const enter = (parents: readonly Buffer[], make: boolean): boolean => {
    let same = 0;
    while (same < open.length && isSame(parents[same], open[same]?.name)) same += 1;
    leave(same);
    for (const name of parents.slice(same)) {
      const fd = openDirectory(anchor(current(), name), make);
      if (fd === undefined) return false;
      open.push({ name, fd });
    }
    return true;
  };
  return {
    at: (parents, name, make) => (enter(parents, make) ? anchor(current(), name) : undefined),
    forget: () => leave(0),
    close: () => {
      leave(0);
      closeSync(top);
    },
  };
}

/** One name below an fd, which the kernel resolves without leaving it: no path of several parts, no link at its end. */
function anchor(fd: number, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]);
}

function openDirectory(path: Buffer, make: boolean): number | undefined {
  for (let made = false; ; made = true) {
    try {
      return openSync(path, DIRECTORY);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "ENOTDIR" || errno === "ELOOP") return undefined;
      if (errno !== "ENOENT" || made) throw error;
      if (!make) return undefined;
    }
    mkdirSync(path);
    chmodSync(path, 0o755);
  }
}

function isSame(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one !== undefined && other !== undefined && one.equals(other);
}
