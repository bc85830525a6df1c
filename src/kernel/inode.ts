/** What Node's file system calls lack to make an inode as it was: nodes, and times with all their digits. */
import { systemError } from "../base/errors.ts";
import { errno, libc, ptr } from "./libc.ts";
import { type BytePath, terminated } from "./xattr.ts";

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;

const formats = { char: 0o020000, block: 0o060000, fifo: 0o010000, socket: 0o140000 } as const;

export type NodeType = keyof typeof formats;

/** Makes a device node, fifo or socket, for its owner alone. */
export function makeNode(path: BytePath, type: NodeType, major: number, minor: number): void {
  if (libc().mknod(terminated(path), formats[type] | 0o600, deviceOf(major, minor)) !== 0)
    throw systemError(errno(), "mknod", path.toString());
}

/** The kernel's number of a device as glibc's makedev(3) has it. */
function deviceOf(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (
    ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn)
  );
}

/** Sets the time of the last change of `path` itself, and that of the last access to the same. */
export function setTime(path: BytePath, seconds: number, nanoseconds: number): void {
  const times = Buffer.alloc(32);
  for (const at of [0, 16]) {
    times.writeBigInt64LE(BigInt(seconds), at);
    times.writeBigInt64LE(BigInt(nanoseconds), at + 8);
  }
  if (libc().utimensat(AT_FDCWD, terminated(path), ptr(times), AT_SYMLINK_NOFOLLOW) !== 0)
    throw systemError(errno(), "utimensat", path.toString());
}

/** asm/unistd.h: the number is the architecture's. */
const SYS_linkat = process.arch === "arm64" ? 37 : 265;
const AT_SYMLINK_FOLLOW = 0x400;

/** Gives an open file that has none (O_TMPFILE, open(2)) a name, which must be free. */
export function linkOpenFile(fd: number, path: string): void {
  const [open, name] = [terminated(`/proc/self/fd/${fd}`), terminated(path)];
  const done = libc().syscall(SYS_linkat, AT_FDCWD, ptr(open), AT_FDCWD, ptr(name), AT_SYMLINK_FOLLOW, 0);
  if (Number(done) !== 0) throw systemError(errno(), "linkat", path);
}
