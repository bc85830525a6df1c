/**
 * Terminals without node:tty and process.stdout, which cost a short command more than everything else it does
 * (measured: 5 and 15 ms).
 */
import { fstatSync, writeSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { libc, ptr } from "./libc.ts";

/** asm/unistd.h: the number is the architecture's. */
const SYS_ioctl = process.arch === "arm64" ? 29 : 16;
/** asm-generic/ioctls.h */
const TIOCGWINSZ = 0x5413;

export type WindowSize = { readonly columns: number; readonly rows: number };

/** The size of the terminal behind a file descriptor, or undefined when it is none. A size of 0 means unknown. */
export function windowSize(fd: number): WindowSize | undefined {
  try {
    if (!fstatSync(fd).isCharacterDevice()) return undefined;
  } catch {
    return undefined; // the descriptor is closed
  }
  // struct winsize: rows, columns, and two fields nobody fills.
  const size = new Uint16Array(4);
  if (Number(libc().syscall(SYS_ioctl, fd, TIOCGWINSZ, ptr(size), 0, 0, 0)) !== 0) return undefined;
  return { rows: size[0] ?? 0, columns: size[1] ?? 0 };
}

/** Whether a file descriptor is a terminal. */
export function isTerminal(fd: number): boolean {
  return windowSize(fd) !== undefined;
}

const RETRY_MILLISECONDS = 5;

/** Writes everything, waiting where a pipe is full. A reader that went away ends the process quietly, as SIGPIPE would. */
export function writeAll(fd: number, text: string | Uint8Array): void {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EPIPE") process.exit(141);
      if (errno !== "EAGAIN") throw error;
      Bun.sleepSync(RETRY_MILLISECONDS);
    }
  }
}
