/** A mount that stands in no mount table: fsopen(2), fsconfig(2), fsmount(2). It goes when its descriptor is closed. */
import { readSync } from "node:fs";
import { describeErrno } from "../base/errors.ts";
import { cstring, errno, libc, ptr } from "./libc.ts";

/** The same numbers on x86_64 and arm64. */
const SYS_fsopen = 430;
const SYS_fsconfig = 431;
const SYS_fsmount = 432;
// linux/mount.h
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;

/**
 * Mounts `source` with bare options and gives the descriptor of its root; `/proc/PID/fd/N` is the way in. Throws an
 * Error that names the option or step and the kernel's reason.
 */
export function mountDetached(type: string, source: string, flags: readonly string[]): number {
  const context = must(
    type,
    () => {
      const name = cstring(type);
      return Number(libc().syscall(SYS_fsopen, ptr(name), FSOPEN_CLOEXEC, 0, 0, 0, 0));
    },
    undefined,
  );
  try {
    configure(context, FSCONFIG_SET_STRING, "source", source);
    for (const flag of flags) configure(context, FSCONFIG_SET_FLAG, flag, undefined);
    must(
      `mounting ${type}`,
      () => Number(libc().syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0, 0)),
      context,
    );
    return must(
      `mounting ${type}`,
      () => Number(libc().syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0, 0, 0, 0)),
      context,
    );
  } finally {
    libc().close(context);
  }
}

function configure(context: number, command: number, key: string, value: string | undefined): void {
  const name = cstring(key);
  const text = value === undefined ? undefined : cstring(value);
  must(
    `option ${key}`,
    () =>
      Number(
        libc().syscall(SYS_fsconfig, context, command, ptr(name), text === undefined ? 0 : ptr(text), 0, 0),
      ),
    context,
  );
}

function must(doing: string, call: () => number, context: number | undefined): number {
  const result = call();
  if (result >= 0) return result;
  const why = describeErrno(errno());
  const words = context === undefined ? "" : kernelWords(context);
  throw new Error(`${doing}: ${why}${words === "" ? "" : `: ${words}`}`);
}

/** The kernel's own messages, one a read, "e " for an error in front (fs/fs_context.c). */
function kernelWords(context: number): string {
  const buffer = Buffer.alloc(1024);
  try {
    const length = readSync(context, buffer);
    return buffer
      .toString("utf8", 0, length)
      .trim()
      .replace(/^[ewi] /, "");
  } catch {
    return ""; // ENODATA: it has said nothing
  }
}
