/** Processes by pidfd and start time, so that a pid that was given to somebody else is never mistaken for ours. */
import { readFileSync } from "node:fs";
import { readIfExists } from "../base/files.ts";
import { errno, libc, ptr } from "./libc.ts";

/** Numbers that are the same on x86_64 and arm64 (asm/unistd.h, calls newer than 424 share theirs). */
const SYS_pidfd_send_signal = 424;
const SYS_pidfd_open = 434;
const POLLIN = 1;
const ESRCH = 3;

/** Field 22 of /proc/PID/stat in clock ticks, or undefined when there is no such process. The command name may hold any byte. */
export function startTime(pid: number): number | undefined {
  const stat = readStat(pid);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // A zombie is dead for us: it runs nothing and only waits to be reaped.
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  return Number(fields[19]);
}

function readStat(pid: number): string | undefined {
  try {
    return readIfExists(`/proc/${pid}/stat`);
  } catch {
    return undefined; // ESRCH: it ended between open and read
  }
}

/** Tells one boot of the kernel from another. */
export const bootIdFile = "/proc/sys/kernel/random/boot_id";

let bootIdText: string | undefined;

/** The kernel's id of this boot. */
export function bootId(): string {
  bootIdText ??= readFileSync(bootIdFile, "utf8").trim();
  return bootIdText;
}

export type ProcessId = { readonly pid: number; readonly startTime: number };

/** Sends a signal to exactly this process. False when it is gone. */
export function sendSignal(target: ProcessId, signal: number): boolean {
  const fd = Number(libc().syscall(SYS_pidfd_open, target.pid, 0, 0, 0, 0, 0));
  if (fd < 0) return false;
  try {
    if (startTime(target.pid) !== target.startTime) return false;
    const sent = Number(libc().syscall(SYS_pidfd_send_signal, fd, signal, 0, 0, 0, 0));
    if (sent === 0) return true;
    const code = errno();
    if (code === ESRCH) return false;
    throw new Error(`pidfd_send_signal: errno ${code}`);
  } finally {
    libc().close(fd);
  }
}

/**
 * Blocks until the process has ended or the time is over. True when it has ended. For guests without a keeper
 * only: where there is one, its socket tells without blocking the event loop.
 */
export function waitForEnd(target: ProcessId, milliseconds: number): boolean {
  const fd = Number(libc().syscall(SYS_pidfd_open, target.pid, 0, 0, 0, 0, 0));
  if (fd < 0) return true;
  try {
    if (startTime(target.pid) !== target.startTime) return true;
    const pollfd = Buffer.alloc(8);
    pollfd.writeInt32LE(fd, 0);
    pollfd.writeInt16LE(POLLIN, 4);
    return libc().poll(ptr(pollfd), 1, milliseconds) > 0;
  } finally {
    libc().close(fd);
  }
}
