/** What descriptors can do that node:fs has no call for. */
import { BerthError, describeErrno } from "../base/errors.ts";
import { errno, libc, ptr } from "./libc.ts";

const AT_EMPTY_PATH = 0x1000;

/** Changes the owner of what the descriptor (O_PATH too) is, also of a symbolic link. */
export function chownFd(fd: number, uid: number, gid: number): void {
  const empty = Buffer.alloc(1);
  if (libc().fchownat(fd, ptr(empty), uid, gid, AT_EMPTY_PATH) === 0) return;
  throw new BerthError("host.io", `owner ${uid}:${gid}: ${describeErrno(errno())}`);
}

/** As long as a link's target can be (PATH_MAX). */
const TARGET_MAX = 4096;

/** Where the symbolic link points that `fd` (O_PATH and O_NOFOLLOW) is. */
export function targetOf(fd: number): Uint8Array {
  const target = Buffer.alloc(TARGET_MAX);
  const empty = Buffer.alloc(1);
  const length = Number(libc().readlinkat(fd, ptr(empty), ptr(target), target.length));
  if (length < 0) throw new BerthError("host.io", `a symbolic link: ${describeErrno(errno())}`);
  return target.subarray(0, length);
}

/** lseek(2) */
const SEEK_DATA = 3;
const SEEK_END = 2;
const ENXIO = 6;

/** Where the next bytes are that are no hole, from an offset on: the file's end when there are none. */
export function nextData(fd: number, from: number): number {
  const at = Number(libc().lseek(fd, from, SEEK_DATA));
  if (at >= 0) return at;
  // File systems that know no holes say EINVAL.
  return errno() === ENXIO ? Math.max(from, Number(libc().lseek(fd, 0, SEEK_END))) : from;
}
