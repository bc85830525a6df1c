/**
 * Errors with a stable code. The code never changes once released: scripts match on it; it maps to an exit
 * code here and to an HTTP status in the daemon. `docs/errors.md` lists them.
 */

/** Exit codes of every command; `exec`, `enter` and `run` pass the guest's own through and use 125 for ours. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  exists: 4,
  wrongState: 5,
  badConfig: 6,
  hostLacks: 7,
  notRoot: 8,
  noSpace: 9,
  busy: 10,
} as const;

export type ExitKind = keyof typeof exitCodes;

/** Every code berth can fail with, and the kind of exit it means. */
export const errorCodes = {
  "usage.unknown-command": "usage",
  "usage.bad-argument": "usage",
  "host.not-root": "notRoot",
  "host.missing-program": "hostLacks",
  "host.missing-feature": "hostLacks",
  "host.command-failed": "failed",
  "host.no-space": "noSpace",
  "host.io": "failed",
  "host.disk": "failed",
  "config.invalid": "badConfig",
  "config.unreadable": "badConfig",
  "container.not-found": "notFound",
  "container.exists": "exists",
  "container.bad-name": "usage",
  "container.not-running": "wrongState",
  "container.running": "wrongState",
  "container.frozen": "wrongState",
  "container.busy": "busy",
  "container.start-failed": "failed",
  "container.stop-timeout": "failed",
  "container.attach-failed": "failed",
  "container.mount-failed": "failed",
  "container.suspended": "wrongState",
  "container.not-suspended": "wrongState",
  "container.not-checkable": "wrongState",
  "checkpoint.failed": "failed",
  "snapshot.not-found": "notFound",
  "snapshot.exists": "exists",
  "container.view-failed": "failed",
  "container.mounted": "wrongState",
  "container.not-mounted": "wrongState",
  "template.not-found": "notFound",
  "template.exists": "exists",
  "template.in-use": "wrongState",
  "template.build-failed": "failed",
  "template.bad-name": "usage",
  "archive.damaged": "failed",
  "archive.exists": "exists",
  "archive.refused": "failed",
  "archive.unverified": "failed",
  "storage.failed": "failed",
  "storage.in-use": "busy",
  "pool.exists": "exists",
  "pool.not-found": "notFound",
  "pool.in-use": "wrongState",
  "volume.not-found": "notFound",
  "volume.exists": "exists",
  "volume.bad-name": "usage",
  "volume.in-use": "wrongState",
  "network.failed": "failed",
  "network.address-taken": "exists",
  "network.no-address": "failed",
  interrupted: "failed",
  "migrate.refused": "wrongState",
  "migrate.failed": "failed",
  "migrate.undecided": "wrongState",
  internal: "failed",
} as const satisfies Record<string, ExitKind>;

export type ErrorCode = keyof typeof errorCodes;

/** A failure a user can act on: `message` names the object and the value, `hint` says what to do. */
export class BerthError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, hint = "", cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "BerthError";
    this.code = code;
    this.hint = hint;
  }

  get exitCode(): number {
    return exitCodes[errorCodes[this.code]];
  }
}

/** What ends an operation that Ctrl-C has reached, or a program that it runs; the operation undoes itself. */
export const interrupted = (signal: string): BerthError =>
  new BerthError("interrupted", `interrupted by ${signal}`, "all is as it was before");

/** What the kernel's errno means in words; the number is kept for those who search. */
const errnoWords: Record<string, string> = {
  EPERM: "the kernel does not permit it",
  ENOENT: "no such file or directory",
  EXFULL: "there is no place left",
  EIO: "the disk fails to read or write",
  ESRCH: "there is no such process, or the kernel lacks that quota format",
  EACCES: "permission denied",
  EEXIST: "it exists already",
  ENOTDIR: "a component of the path is not a directory",
  EISDIR: "it is a directory",
  EINVAL: "the kernel refuses the argument",
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is exhausted",
  EROFS: "the file system is read-only",
  EBUSY: "it is in use",
  ENOTEMPTY: "the directory is not empty",
  ENOEXEC: "it is not a program this kernel can run",
  ELOOP: "a symbolic link stands where none may be",
  ENODEV: "the kernel does not know that device or file system",
  ENOSYS: "this kernel does not have that system call",
  EOPNOTSUPP: "it is not supported here",
  ENOMEM: "out of memory",
  EAGAIN: "a limit of the kernel is reached",
  EUSERS: "too many user namespaces",
  EMFILE: "too many open files",
  ENFILE: "too many open files on the host",
  EXDEV: "it would cross file systems",
  ETXTBSY: "the program is being written to",
  ESTALE: "the overlay's layers do not belong together",
};

/** Numbers of the errnos above on Linux (asm-generic/errno*.h). */
const errnoNumbers: Record<number, string> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  5: "EIO",
  8: "ENOEXEC",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  18: "EXDEV",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  26: "ETXTBSY",
  28: "ENOSPC",
  30: "EROFS",
  38: "ENOSYS",
  39: "ENOTEMPTY",
  40: "ELOOP",
  54: "EXFULL",
  87: "EUSERS",
  95: "EOPNOTSUPP",
  116: "ESTALE",
  122: "EDQUOT",
};

/** `28` or `"ENOSPC"` to "no space left on the device (ENOSPC)". */
export function describeErrno(errno: number | string): string {
  const name = typeof errno === "number" ? (errnoNumbers[errno] ?? `errno ${errno}`) : errno;
  const words = errnoWords[name];
  return words === undefined ? name : `${words} (${name})`;
}

/** A failed system call as Node's file system calls throw it: `errnoOf` and `asBerthError` know what to do with it. */
export function systemError(errno: number, call: string, path: string): Error {
  const code = errnoNumbers[errno] ?? `errno ${errno}`;
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, path });
}

/** The errno name of a Node file system error, if it is one. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Turns any thrown value into a BerthError; a file system error keeps its path and is translated. */
export function asBerthError(error: unknown): BerthError {
  if (error instanceof BerthError) return error;
  const errno = errnoOf(error);
  if (errno !== undefined && error instanceof Error) {
    const path = "path" in error && typeof error.path === "string" ? `${error.path}: ` : "";
    const code: ErrorCode =
      errno === "ENOSPC" || errno === "EDQUOT"
        ? "host.no-space"
        : errno === "EACCES" || errno === "EPERM"
          ? "host.not-root"
          : "host.io";
    const hint =
      code === "host.no-space"
        ? "free some space on the file system that holds it, then try again"
        : code === "host.not-root" && process.getuid?.() !== 0
          ? "run it as root"
          : "";
    return new BerthError(
      code === "host.not-root" && process.getuid?.() === 0 ? "host.io" : code,
      `${path}${describeErrno(errno)}`,
      hint,
      error,
    );
  }
  const message = error instanceof Error ? error.message : String(error);
  return new BerthError(
    "internal",
    message,
    "this is a defect of berth; run again with BERTH_DEBUG=1 and report what it prints",
    error,
  );
}
