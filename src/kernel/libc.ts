/**
 * The few libc calls that Bun lacks, by its foreign function interface. Opened on first use (0.3 ms), so that
 * commands which need none of them do not pay. Calls that block or change the process's namespaces do not belong
 * here: they are verbs of berth-launch.
 */
import type { Pointer } from "bun:ffi";

/** Loaded when it is needed: that alone takes as long as many a command's own work. */
const ffi = () => require("bun:ffi") as typeof import("bun:ffi");

function open() {
  const { dlopen, FFIType } = ffi();
  return dlopen("libc.so.6", {
    flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    syscall: {
      args: [FFIType.i64, FFIType.i64, FFIType.i64, FFIType.i64, FFIType.i64, FFIType.i64, FFIType.i64],
      returns: FFIType.i64,
    },
    ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
    poll: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    send: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
    recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
    bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    setsockopt: {
      args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32],
      returns: FFIType.i32,
    },
    readlinkat: {
      args: [FFIType.i32, FFIType.cstring, FFIType.ptr, FFIType.u64],
      returns: FFIType.i64,
    },
    fchownat: {
      args: [FFIType.i32, FFIType.cstring, FFIType.u32, FFIType.u32, FFIType.i32],
      returns: FFIType.i32,
    },
    lseek: { args: [FFIType.i32, FFIType.i64, FFIType.i32], returns: FFIType.i64 },
    umount2: { args: [FFIType.cstring, FFIType.i32], returns: FFIType.i32 },
    close: { args: [FFIType.i32], returns: FFIType.i32 },
    llistxattr: { args: [FFIType.cstring, FFIType.ptr, FFIType.u64], returns: FFIType.i64 },
    lgetxattr: { args: [FFIType.cstring, FFIType.cstring, FFIType.ptr, FFIType.u64], returns: FFIType.i64 },
    lsetxattr: {
      args: [FFIType.cstring, FFIType.cstring, FFIType.ptr, FFIType.u64, FFIType.i32],
      returns: FFIType.i32,
    },
    lremovexattr: { args: [FFIType.cstring, FFIType.cstring], returns: FFIType.i32 },
    mknod: { args: [FFIType.cstring, FFIType.u32, FFIType.u64], returns: FFIType.i32 },
    utimensat: {
      args: [FFIType.i32, FFIType.cstring, FFIType.ptr, FFIType.i32],
      returns: FFIType.i32,
    },
    __errno_location: { args: [], returns: FFIType.ptr },
  }).symbols;
}

let symbols: ReturnType<typeof open> | undefined;

/** The opened symbols. */
export function libc(): ReturnType<typeof open> {
  symbols ??= open();
  return symbols;
}

/** errno of the last failed call; ask at once, before anything else runs. */
export function errno(): number {
  const location = libc().__errno_location();
  return location === null ? 0 : ffi().read.i32(location, 0);
}

/** A C string for a call. */
export function cstring(text: string): Uint8Array {
  return Buffer.from(`${text}\0`);
}

/** The address of a buffer, for a call. */
export const ptr = (buffer: NodeJS.TypedArray): Pointer => ffi().ptr(buffer);
