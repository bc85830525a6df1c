/** Which parts of a file hold data. */
import { BerthError, describeErrno } from "../../base/errors.ts";
import { errno, libc } from "../../kernel/libc.ts";
import type { Extent } from "./tar-sparse.ts";

/** asm/unistd.h: the number is the architecture's. */
const SYS_lseek = process.arch === "arm64" ? 62 : 8;
/** linux/fs.h */
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;
const EINVAL = 22;
/** Smaller files are not worth a map, files in more pieces than that neither. */
const SMALLEST = 1 << 16;
const MOST = 1 << 16;

export type FileSize = { readonly size: number; readonly blocks: number };

/** The parts that hold data, in order; undefined when the file has no holes worth keeping. Moves the file's offset. */
export function dataExtents(fd: number, { size, blocks }: FileSize): readonly Extent[] | undefined {
  if (size < SMALLEST || blocks * 512 >= size) return undefined;
  const extents: Extent[] = [];
  for (let at = 0; at < size; ) {
    const data = seek(fd, at, SEEK_DATA);
    if (data === undefined) break;
    const hole = Math.min(seek(fd, data, SEEK_HOLE) ?? size, size);
    if (data < hole) extents.push({ offset: data, length: hole - data });
    if (extents.length > MOST) return undefined;
    at = Math.max(hole, data + 1);
  }
  return extents;
}

/** Undefined: there is nothing of the kind any more. */
function seek(fd: number, at: number, whence: number): number | undefined {
  const found = Number(libc().syscall(SYS_lseek, fd, at, whence, 0, 0, 0));
  if (found >= 0) return found;
  const code = errno();
  if (code === ENXIO) return undefined;
  // A file system that knows no holes.
  if (code === EINVAL) return whence === SEEK_DATA ? at : undefined;
  throw new BerthError("host.io", `looking for holes: ${describeErrno(code)}`);
}
