/** What berth keeps beside CRIU's images: checkpoint/record.json. */
import { readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { writeAtomic } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import type { CgroupNode } from "./cgroup-tree.ts";

export type CheckpointRecord = {
  readonly version: 1;
  /** Milliseconds since 1970 when CRIU wrote down what was left of the timers. */
  readonly dumped: number;
  readonly kernel: string;
  readonly criu: string;
  /** The console's slave as CRIU knows it: "tty[RDEV:DEV]". */
  readonly console: string;
  readonly processes: number;
  readonly cgroups: readonly CgroupNode[];
};

export const imagesDir = (name: string): string => `${containerPaths(name).checkpoint}/images`;

/** For writeAtomic: restored processes read images as the guest's root; the directory above lets no one in. */
export const readable = { mode: 0o644, sync: false } as const;

const recordFile = (name: string): string => `${containerPaths(name).checkpoint}/record.json`;

/** `sync`: it is to outlast a power cut. */
export function saveRecord(name: string, record: CheckpointRecord, sync: boolean): void {
  writeAtomic(recordFile(name), JSON.stringify(record), { sync });
}

/** Throws checkpoint.failed when it cannot be read. */
export function loadRecord(name: string): CheckpointRecord {
  try {
    return JSON.parse(readFileSync(recordFile(name), "utf8")) as CheckpointRecord; // root's own, written by saveRecord
  } catch (error) {
    throw new BerthError(
      "checkpoint.failed",
      `the checkpoint of container ${name} is damaged: ${recordFile(name)} cannot be read`,
      `berth start --fresh ${name}`,
      error,
    );
  }
}
