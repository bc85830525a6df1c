/**
 * What the kernel wrote down of refused system calls (audit record 1326) and of denials by AppArmor (1400): in its own
 * log, or in auditd's file where that runs.
 */
import { closeSync, constants, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { readIfExists } from "../base/files.ts";

/** Pid and names are as the kernel saw them then; names are the guest's text. */
export type Refusal = {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly pid: number;
  readonly comm: string;
} & (
  | {
      readonly kind: "seccomp";
      readonly uid: number;
      /** AUDIT_ARCH_* and the number of the call. */
      readonly arch: number;
      readonly syscall: number;
    }
  | {
      readonly kind: "apparmor";
      readonly profile: string;
      readonly operation: string;
      /** Path, capability or address: what was asked for. */
      readonly object: string;
      /** What of it was denied: "w", "rw, bind". */
      readonly denied: string;
    }
);

const AUDIT_FILE = "/var/log/audit/audit.log";
const RECORD = /\b(?:type=(1326|1400|SECCOMP|AVC) (?:msg=)?)audit\((\d+)\.(\d+):\d+\): (.*)$/;

/** One line of the kernel's log, or of auditd's; undefined when it is something else. */
export function parseRefusal(line: string): Refusal | undefined {
  const [, type, seconds, milliseconds, text = ""] = RECORD.exec(line) ?? [];
  if (type === undefined) return undefined;
  const fields = fieldsOf(text);
  const field = (name: string): string => fields.get(name) ?? "";
  const common = {
    time: Number(seconds) * 1000 + Number(milliseconds),
    pid: Number(field("pid")),
    comm: field("comm"),
  };
  if (type === "1326" || type === "SECCOMP") {
    const arch = Number.parseInt(field("arch"), 16);
    return { ...common, kind: "seccomp", uid: Number(field("uid")), arch, syscall: Number(field("syscall")) };
  }
  if (field("apparmor") !== "DENIED") return undefined;
  return {
    ...common,
    kind: "apparmor",
    profile: field("profile"),
    operation: field("operation"),
    object: field("name") || field("capname") || field("family") || field("peer"),
    denied: field("denied_mask") || field("flags") || field("fstype"),
  };
}

/** key=value and key="value"; the kernel writes what holds odd bytes as hex without quotes. */
function fieldsOf(text: string): ReadonlyMap<string, string> {
  const found = [...text.matchAll(/(\w+)=(?:"([^"]*)"|(\S+))/g)];
  return new Map(
    found.map(([, key = "", quoted, bare = ""]): [string, string] => {
      const hex = quoted === undefined && (key === "comm" || key === "name") && /^([0-9A-F]{2})+$/.test(bare);
      return [key, quoted ?? (hex ? Buffer.from(bare, "hex").toString() : bare)];
    }),
  );
}

/** All that is still there, oldest first. */
export function readRefusals(): Refusal[] {
  const lines = [...kernelLog(), ...(readIfExists(AUDIT_FILE) ?? "").split("\n")];
  return lines
    .map(parseRefusal)
    .filter((refusal) => refusal !== undefined)
    .sort((a, b) => a.time - b.time);
}

/** Records of /dev/kmsg, one a read, without the prefix. */
function kernelLog(): string[] {
  const lines: string[] = [];
  const record = Buffer.alloc(8192);
  const fd = openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    for (;;) {
      try {
        const length = readSync(fd, record);
        if (length === 0) return lines;
        const [text = ""] = record.toString("utf8", 0, length).split("\n");
        lines.push(text.slice(text.indexOf(";") + 1));
      } catch (error) {
        if (errnoOf(error) === "EPIPE") continue; // overwritten before it was read
        if (errnoOf(error) === "EAGAIN") return lines;
        throw error;
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** Why this kernel does not log what a filter refuses, with the cure; undefined when it does. */
export function refusalLogFault(): { readonly why: string; readonly cure: string } | undefined {
  const logged = readIfExists("/proc/sys/kernel/seccomp/actions_logged") ?? "";
  if (!logged.split(/\s+/).includes("errno"))
    return {
      why: "kernel.seccomp.actions_logged lacks errno: refused calls are not logged",
      cure: 'sysctl "kernel.seccomp.actions_logged=kill_process kill_thread trap errno user_notif trace log"',
    };
  if (/\baudit=(0|off)\b/.test(readFileSync("/proc/cmdline", "utf8")))
    return { why: "the kernel was booted with audit=0", cure: "boot it without" };
  if (!existsSync("/dev/kmsg") && !existsSync(AUDIT_FILE))
    return { why: "there is neither /dev/kmsg nor auditd's log here", cure: "mknod /dev/kmsg c 1 11" };
  return undefined;
}
