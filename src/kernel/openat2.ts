/**
 * openat2(2): paths of a tree that somebody else filled are looked up below a directory fd, so that no symbolic
 * link in it leads the host astray (linux/openat2.h).
 */
import { BerthError, describeErrno } from "../base/errors.ts";
import { errno, libc, ptr } from "./libc.ts";

/** The same number on x86_64 and arm64. */
const SYS_openat2 = 437;
const O_CLOEXEC = 0o2000000;
const EAGAIN = 11;
const ENOENT = 2;

/** O_PATH, which node:fs does not name; the same on x86_64 and arm64. */
export const O_PATH = 0o10000000;

const resolveBits = {
  /** Fails on any symbolic link and on anything that leaves the directory. */
  noSymlinks: 0x04 | 0x02 | 0x08,
  /** As noSymlinks, and fails where another file system, or a part of this one, is mounted. */
  oneMount: 0x04 | 0x02 | 0x08 | 0x01,
  /** Symbolic links are followed as if the directory were `/`. */
  inRoot: 0x10 | 0x02,
} as const;

export type Resolve = keyof typeof resolveBits;

/** A path; bytes where a name may be no text. */
type Path = string | Uint8Array;

/** Opens `path` below the directory `dirfd`; undefined when it does not exist. Close the fd. */
export function openat2(
  dirfd: number,
  path: Path,
  flags: number,
  resolve: Resolve,
  mode = 0,
): number | undefined {
  const opened = tryOpenat2(dirfd, path, flags, resolve, mode);
  if ("fd" in opened) return opened.fd;
  if (opened.errno === ENOENT) return undefined;
  const text = Buffer.from(path).toString().replace(/^\/+/, "");
  throw new BerthError("host.io", `/${text} (inside the tree): ${describeErrno(opened.errno)}`);
}

/** The same for those who look at the errno. */
export function tryOpenat2(
  dirfd: number,
  path: Path,
  flags: number,
  resolve: Resolve,
  mode = 0,
): { readonly fd: number } | { readonly errno: number } {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(mode), 8);
  how.writeBigUInt64LE(BigInt(resolveBits[resolve]), 16);
  const name = Buffer.concat([Buffer.from(path), Buffer.alloc(1)]);
  for (let attempt = 0; ; attempt += 1) {
    const fd = Number(libc().syscall(SYS_openat2, dirfd, ptr(name), ptr(how), how.length, 0, 0));
    if (fd >= 0) return { fd };
    const code = errno();
    // EAGAIN: a rename elsewhere raced with "..": the kernel asks to try again.
    if (code !== EAGAIN || attempt >= 100) return { errno: code };
  }
}
