/** CRIU's log: kept where the operator finds it, and its known complaints in words. */
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { instance } from "../base/paths.ts";

export type Complaint = { readonly what: string; readonly cure: string };

/** Keeps what CRIU wrote into `images` at `target` and gives its text; "" when it wrote nothing, and then nothing older is left there. */
export function keepLog(images: string, log: "dump.log" | "restore.log", target: string): string {
  makeDirs(instance.log);
  try {
    copyFileSync(`${images}/${log}`, target);
    return readFileSync(target, "utf8");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    rmSync(target, { force: true });
    return "";
  }
}

/** What CRIU says, what that means and what to do, from the most to the least telling. */
const known: readonly (readonly [RegExp, string, string])[] = [
  [/ctty inheritance detected/, "a process has /dev/tty open", "end it, or log out where it runs"],
  [
    /io_uring|anon_inode:\[io_uring\]|Can't dump.*io_uring/,
    "a process uses io_uring",
    "switch io_uring off in that program",
  ],
  [
    /nested (\w+) namespace|Can't dump nested (\w+)/,
    "a process is in a namespace of its own",
    "stop that service, or run it without Private... and Protect... settings",
  ],
  [
    /doesn't have a proper root mount/,
    "a service hides directories from itself (DynamicUser)",
    "PrivateTmp=yes",
  ],
  [
    /FS mnt .* unsupported/,
    "a file system is mounted that cannot be written down",
    "unmount it in the guest",
  ],
  [/error parsing \[inotify/, "a file that is watched has just been removed", "try again"],
  [
    /Can't dump that handle|fsnotify: /,
    "a watched file cannot be found again",
    "restart the service that watches it",
  ],
  [
    /Ghost file .* is too big|too big: /,
    "a removed file that is still open is too large",
    "restart what has it open",
  ],
  [/session leader .* is outside|outside of pid namespace/, "a process came from outside by exec", "end it"],
  [
    /Unsupported FS|External .* socket|external socket/,
    "a process is tied to something outside",
    "restart it",
  ],
  [/Control messages in queue/, "a message was on its way between two processes", "try again"],
  [
    /closed in-flight socket/,
    "a connection between two processes waits to be taken and is closed already",
    "try again",
  ],
  [/BUG at /, "CRIU ran into a defect of its own", "`berth check`"],
  [/No space left|Disk quota/, "no room for the images", "free some space below /var/lib/berth"],
];

/** CRIU's own last complaint, and what it means where that is known; `otherwise` where it has none. */
export function complaintOf(log: string, otherwise = "CRIU says nothing of why"): Complaint {
  const errors = log.split("\n").filter((line) => /\bError\b|\bBUG\b/.test(line));
  const first = errors.find((line) => !harmless.test(line));
  if (first === undefined) return { what: otherwise, cure: "" };
  const pid = /\b(?:pid|task|Task|process)[: ]+(\d+)/.exec(first)?.[1];
  for (const [pattern, meaning, cure] of known) {
    const line = errors.find((error) => pattern.test(error));
    if (line !== undefined)
      return { what: `${meaning}${pid === undefined ? "" : ` (process ${pid})`}: ${plain(line)}`, cure };
  }
  return { what: plain(first), cure: "" };
}

/** What is over a moment later: a notification with credentials that is not read yet, a connection closed before it was taken, a watch on a cgroup that has just gone. */
export const passing = /Control messages in queue|closed in-flight socket|error parsing \[inotify/;

/** Said on every run where root lacks CAP_SYS_RESOURCE. */
const harmless = /Can't setup RLIMIT_NOFILE/;

/** Without the time and the place in CRIU's sources. */
const plain = (line: string): string =>
  line.replace(/^\([\d.]+\)\s*(?:\d+:\s*)?Error\s*(?:\([^)]*\):\s*)?/, "").trim();
