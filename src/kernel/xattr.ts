/** Extended attributes of a path, which Node's file system calls lack. Symbolic links are never followed. */
import { describeErrno, systemError } from "../base/errors.ts";
import { errno, libc, ptr } from "./libc.ts";

const ENODATA = 61;
const ERANGE = 34;
const EOPNOTSUPP = 95;

/** A path as the kernel takes it: bytes, since a file name need not be UTF-8. */
export type BytePath = string | Buffer;

export type Xattr = { readonly name: Buffer; readonly value: Buffer };

let scratch = Buffer.alloc(4096);

/** The attributes of `path` itself, sorted by name. A file system that has none gives an empty list. */
export function xattrsOf(path: BytePath): readonly Xattr[] {
  const file = terminated(path);
  const names = sized((buffer) => Number(libc().llistxattr(file, ptr(buffer), buffer.length)));
  if (names === undefined || names.length === 0) return [];
  return split(names)
    .sort(Buffer.compare)
    .flatMap((name) => {
      const key = terminated(name);
      const value = sized((buffer) => Number(libc().lgetxattr(file, key, ptr(buffer), buffer.length)));
      return value === undefined ? [] : [{ name, value }];
    });
}

/** Sets one attribute of `path` itself. */
export function setXattr(path: BytePath, { name, value }: Xattr): void {
  const bytes = value.length === 0 ? Buffer.alloc(1) : value;
  if (libc().lsetxattr(terminated(path), terminated(name), ptr(bytes), value.length, 0) !== 0)
    throw systemError(errno(), "lsetxattr", path.toString());
}

/** Removes one attribute of `path` itself; one that is not there is fine. */
export function removeXattr(path: BytePath, name: Buffer): void {
  if (libc().lremovexattr(terminated(path), terminated(name)) === 0) return;
  const code = errno();
  if (code !== ENODATA) throw systemError(code, "lremovexattr", path.toString());
}

/** Calls with a growing buffer; undefined when there is nothing (no such attribute, no support). */
function sized(call: (buffer: Buffer) => number): Buffer | undefined {
  for (;;) {
    const length = call(scratch);
    if (length >= 0) return Buffer.from(scratch.subarray(0, length));
    const code = errno();
    if (code === ENODATA || code === EOPNOTSUPP) return undefined;
    if (code !== ERANGE || scratch.length > 1 << 20) throw new Error(`xattr: ${describeErrno(code)}`);
    scratch = Buffer.alloc(scratch.length * 4);
  }
}

function split(names: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < names.length; ) {
    const end = names.indexOf(0, at);
    parts.push(names.subarray(at, end));
    at = end + 1;
  }
  return parts;
}

/** Bytes for a call that takes a C string. */
export function terminated(text: BytePath): Buffer {
  return Buffer.concat([typeof text === "string" ? Buffer.from(text) : text, Buffer.alloc(1)]);
}
