/** Small work on cgroup directories that both drivers share. */
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { instance } from "../base/paths.ts";
import { tryLock } from "../kernel/flock.ts";
import type { PlanRecord } from "../kernel/plan.ts";

/** Where keepers live, beside the containers; no container can have this name. */
export const KEEPERS = "_keepers";

/** Makes a directory if it is missing; true when it was made now. */
export function makeCgroup(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** A guest's own cgroups: deep and wide enough for any init, too few to keep the host busy removing them. */
const MOST_DESCENDANTS = 4096;
const DEEPEST = 32;

/** Bounds the tree that a guest may grow below `path` (v2). */
export const boundTree = (path: string): readonly PlanRecord[] => [
  writeRecord(`${path}/cgroup.max.descendants`, String(MOST_DESCENDANTS)),
  writeRecord(`${path}/cgroup.max.depth`, String(DEEPEST)),
];

/** A write, as data; to a file that not every host has it is `optional`. */
export const writeRecord = (file: string, value: string, optional = false): PlanRecord => [
  "write",
  file,
  value,
  optional ? "may" : "must",
];

/** A cgroup's directory that is not there yet, as data. */
export const dirRecord = (path: string): PlanRecord => ["makeDir", path, "755", "new"];

/** Carries out records of cgroups here, as the front does at a start that was prepared (native/prepared.c); what is there already is fine. */
export function carryOut(records: readonly PlanRecord[]): void {
  for (const [op, path, ...rest] of records) {
    const [first, second] = rest.map(String);
    if (op === "makeDir") makeCgroup(String(path));
    else if (op === "chown") chownSync(String(path), Number(first), Number(second));
    else if (op === "write") writeIfWanted(String(path), first ?? "", second === "may");
    else throw new Error(`${op} is not for cgroups`);
  }
}

function writeIfWanted(file: string, value: string, optional: boolean): void {
  try {
    writeCgroup(file, value);
  } catch (error) {
    if (!(optional && errnoOf(error) === "ENOENT")) throw error;
  }
}

/** How long processes on their way out may keep a cgroup busy, and how often to look, in milliseconds. */
const BUSY_MS = 2000;
const LOOK_MS = 5;

/** Removes a cgroup and all below it. Fails with EBUSY when something goes on running there. */
export function removeCgroup(path: string): void {
  for (const deadline = Date.now() + BUSY_MS; ; Bun.sleepSync(LOOK_MS)) {
    try {
      removeOnce(path);
      return;
    } catch (error) {
      if (errnoOf(error) !== "EBUSY" || Date.now() > deadline) throw error;
    }
  }
}

function removeOnce(path: string): void {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) removeOnce(`${path}/${entry.name}`);
    }
    rmdirSync(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** Runs `work` while nobody else makes or removes the cgroups that all containers share: a few milliseconds. */
export function withTopLock<T>(work: () => T): T {
  makeDirs(instance.run);
  const fd = openSync(instance.run, "r");
  try {
    while (!tryLock(fd)) Bun.sleepSync(1);
    return work();
  } finally {
    closeSync(fd);
  }
}

/**
 * Removes what is left in berth's own cgroup when no container is: the one of the keepers, and by `removeTop` the cgroup
 * itself. False when a container or a keeper is still there.
 */
export function removeEmptyTop(top: string, removeTop: (top: string) => void): boolean {
  if (!existsSync(top)) return true;
  const others = readdirSync(top, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name !== KEEPERS,
  );
  if (others.length > 0) return false;
  try {
    if (existsSync(`${top}/${KEEPERS}`)) rmdirSync(`${top}/${KEEPERS}`);
    removeTop(top);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EBUSY") return false;
    throw error;
  }
}

/** Kills everything below a v2 cgroup (cgroup.kill, Linux 5.14). Nothing there is fine. */
export function killCgroup(path: string): void {
  if (existsSync(path)) writeCgroup(`${path}/cgroup.kill`, "1");
}

/** Content of a cgroup file without the newline, or undefined when there is no such file or cgroup. */
export function readCgroup(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trimEnd();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENODEV") return undefined;
    throw error;
  }
}

/** The number in a file, or undefined for `max` or no file. */
export function readNumber(path: string): number | undefined {
  const text = readCgroup(path);
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
}

/** The number behind `key` in a flat keyed file such as memory.events. */
export function readKeyed(path: string, key: string): number | undefined {
  const line = readCgroup(path)
    ?.split("\n")
    .find((candidate) => candidate.startsWith(`${key} `));
  return line === undefined ? undefined : Number(line.slice(key.length + 1));
}

export const writeCgroup = (path: string, value: string): void => writeFileSync(path, value);
