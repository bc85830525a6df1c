/**
 * Changing a tree that is not trusted: every path is looked up below the tree's own directory with openat2, no
 * symbolic link on the way is followed, and what is written is a new file renamed into place. Nothing here can
 * touch a file outside of the tree, whatever the tree holds.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { BerthError, errnoOf } from "../base/errors.ts";
import { O_PATH, openat2 } from "../kernel/openat2.ts";

/** An open tree; paths in it are relative, with slashes, without "." and "..". */
export type Tree = { readonly fd: number };

/** Runs `work` on the tree at `path`. */
export function withTree<T>(path: string, work: (tree: Tree) => T): T {
  const fd = openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return work({ fd });
  } finally {
    closeSync(fd);
  }
}

/** Runs `work` with a path for the last component whose parent is pinned by an fd; undefined when the parent is not there. */
function inParent<T>(tree: Tree, path: string, work: (anchored: string) => T): T | undefined {
  const slash = path.lastIndexOf("/");
  const parent = openat2(
    tree.fd,
    slash < 0 ? "." : path.slice(0, slash),
    O_PATH | constants.O_DIRECTORY,
    "noSymlinks",
  );
  if (parent === undefined) return undefined;
  try {
    return work(`/proc/self/fd/${parent}/${path.slice(slash + 1)}`);
  } finally {
    closeSync(parent);
  }
}

function mustHaveParent<T>(result: T | undefined, path: string): T {
  if (result === undefined) throw new BerthError("host.io", `/${path} (inside the tree): no such directory`);
  return result;
}

/** Makes a directory and those above it, owned by root. One that is there keeps its owner and mode. */
export function makeDir(tree: Tree, path: string, mode = 0o755): void {
  const parts = path.split("/");
  for (let depth = 1; depth <= parts.length; depth += 1) {
    const dir = parts.slice(0, depth).join("/");
    const made = inParent(tree, dir, (anchored) => {
      try {
        mkdirSync(anchored, 0o755);
        return "made";
      } catch (error) {
        if (errnoOf(error) === "EEXIST") return "there";
        throw error;
      }
    });
    // Opened, not just looked at: what is there must be a directory and not a link to one.
    const fd = openat2(tree.fd, dir, constants.O_RDONLY | constants.O_DIRECTORY, "noSymlinks");
    if (fd === undefined) throw new BerthError("host.io", `/${dir} (inside the tree): cannot be made`);
    if (made === "made") fchmodSync(fd, depth === parts.length ? mode : 0o755);
    closeSync(fd);
  }
}

/** Writes a regular file owned by root in place of whatever file or link has that name; directories above are made. */
export function writeFile(tree: Tree, path: string, content: string | Uint8Array, mode = 0o644): void {
  if (path.includes("/")) makeDir(tree, path.slice(0, path.lastIndexOf("/")));
  mustHaveParent(
    inParent(tree, path, (anchored) => {
      const fresh = `${anchored}.berth-new`;
      dropFile(fresh);
      const fd = openSync(
        fresh,
        constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
        0o600,
      );
      try {
        writeFileSync(fd, content);
        fchownSync(fd, 0, 0);
        fchmodSync(fd, mode);
      } finally {
        closeSync(fd);
      }
      renameSync(fresh, anchored);
      return true;
    }),
    path,
  );
}

/** Makes a symbolic link in place of whatever file or link has that name. */
export function writeLink(tree: Tree, path: string, target: string): void {
  if (path.includes("/")) makeDir(tree, path.slice(0, path.lastIndexOf("/")));
  mustHaveParent(
    inParent(tree, path, (anchored) => {
      const fresh = `${anchored}.berth-new`;
      dropFile(fresh);
      symlinkSync(target, fresh);
      lchownSync(fresh, 0, 0);
      renameSync(fresh, anchored);
      return true;
    }),
    path,
  );
}

function dropFile(anchored: string): void {
  try {
    unlinkSync(anchored);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** Removes a file, link or whole directory; what is not there is fine. */
export function remove(tree: Tree, path: string): void {
  inParent(tree, path, (anchored) => {
    try {
      if (lstatSync(anchored).isDirectory()) return "directory";
      unlinkSync(anchored);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
    return "gone";
  }) === "directory" && removeDir(tree, path);
}

function removeDir(tree: Tree, path: string): void {
  for (const name of list(tree, path)) remove(tree, `${path}/${name}`);
  inParent(tree, path, (anchored) => rmdirSync(anchored));
}

/** Names in a directory, sorted; empty when it is not there. */
export function list(tree: Tree, path: string): readonly string[] {
  const fd = openat2(tree.fd, path, constants.O_RDONLY | constants.O_DIRECTORY, "noSymlinks");
  if (fd === undefined) return [];
  try {
    return readdirSync(`/proc/self/fd/${fd}`).sort();
  } finally {
    closeSync(fd);
  }
}

/** Larger files are nobody's settings; a tree may hold one to fill our memory. */
const LARGEST_TEXT = 64 << 20;

/** Text of a regular file of at most 64 MiB, links followed inside the tree only; undefined when there is none. */
export function readText(tree: Tree, path: string): string | undefined {
  // O_NONBLOCK: a fifo of that name must not hold us up.
  const fd = openat2(tree.fd, path, constants.O_RDONLY | constants.O_NONBLOCK, "inRoot");
  if (fd === undefined) return undefined;
  try {
    const stat = fstatSync(fd);
    return stat.isFile() && stat.size <= LARGEST_TEXT ? readFileSync(fd, "utf8") : undefined;
  } finally {
    closeSync(fd);
  }
}

/** Where `path` ends once links are followed inside the tree: an absolute path in the tree, or undefined. */
export function realPath(tree: Tree, path: string): string | undefined {
  const fd = openat2(tree.fd, path, O_PATH, "inRoot");
  if (fd === undefined) return undefined;
  try {
    const root = readlinkSync(`/proc/self/fd/${tree.fd}`);
    return readlinkSync(`/proc/self/fd/${fd}`).slice(root === "/" ? 0 : root.length);
  } finally {
    closeSync(fd);
  }
}

/** Whether the name is there (a dangling link counts). */
export function has(tree: Tree, path: string): boolean {
  return (
    inParent(tree, path, (anchored) => {
      try {
        lstatSync(anchored);
        return true;
      } catch (error) {
        if (errnoOf(error) === "ENOENT") return false;
        throw error;
      }
    }) ?? false
  );
}
