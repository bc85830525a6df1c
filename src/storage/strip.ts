/**
 * What a template never holds: device nodes (the guest's are made at start), sockets, fifos, and regular files
 * with more than one name (overlayfs's index ties an upper to the inode below; a second name would break on copy-up).
 */
import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  mkdirSync,
  renameSync,
  rmSync,
  unlinkSync,
  utimesSync,
} from "node:fs";
import { setXattr, xattrsOf } from "../kernel/xattr.ts";
import { type Entry, walk } from "./digest.ts";

export type Stripped = { readonly nodes: number; readonly copies: number };

/** Directories of /dev that stay: mount points. */
const devDirs = ["pts", "shm", "mqueue"] as const;

/** Strips the tree in place; nothing of it is followed or run. Says how many nodes went and hard links became copies. */
export function stripTree(root: string): Stripped {
  let nodes = 0;
  let copies = 0;
  const names = new Map<string, number>();
  // Collected first: what is renamed into a directory while it is walked could be seen twice.
  for (const entry of [...walk(root)]) {
    const { path, stat } = entry;
    if (stat.isFile()) {
      if (stat.nlink > 1 && seenBefore(names, entry)) {
        copyApart(entry);
        copies += 1;
      }
    } else if (!stat.isDirectory() && !stat.isSymbolicLink()) {
      unlinkSync(path);
      nodes += 1;
    }
  }
  emptyDev(root);
  return { nodes, copies };
}

/** The first name keeps the inode, unless names outside of the tree share it: then every name is copied. */
function seenBefore(names: Map<string, number>, { stat }: Entry): boolean {
  const key = `${stat.dev}:${stat.ino}`;
  const seen = (names.get(key) ?? 0) + 1;
  names.set(key, seen);
  return seen < stat.nlink;
}

function copyApart({ path, stat }: Entry): void {
  const fresh = Buffer.concat([path, Buffer.from(".berth-new")]);
  const xattrs = xattrsOf(path);
  rmSync(fresh, { force: true });
  copyFileSync(path, fresh, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  // Owner before mode and capabilities: a chown clears setuid bits and security.capability.
  lchownSync(fresh, stat.uid, stat.gid);
  chmodSync(fresh, stat.mode & 0o7777);
  for (const xattr of xattrs) setXattr(fresh, xattr);
  utimesSync(fresh, stat.atime, stat.mtime);
  renameSync(fresh, path);
}

function emptyDev(root: string): void {
  const dev = `${root}/dev`;
  rmSync(dev, { recursive: true, force: true });
  mkdirSync(dev, { mode: 0o755 });
  for (const name of devDirs) {
    mkdirSync(`${dev}/${name}`, { mode: 0o755 });
    chmodSync(`${dev}/${name}`, 0o755);
    lchownSync(`${dev}/${name}`, 0, 0);
  }
  chmodSync(dev, 0o755);
  lchownSync(dev, 0, 0);
}
