/** What berth keeps beside CRIU's images: checkpoint/record.json. */
import { readFileSync, rmSync, symlinkSync } from "node:fs";
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
  /** Whether its connections are not brought back: it has another address here. */
  readonly disconnected?: boolean | undefined;
  /** How many passes over its memory the images build upon (passes.ts); absent: none. */
  readonly passes?: number | undefined;
};

export const imagesDir = (name: string): string => imagesIn(containerPaths(name).checkpoint);

/** CRIU's images in a checkpoint's directory, wherever that is. */
export const imagesIn = (checkpoint: string): string => `${checkpoint}/images`;

/**
 * The images of a checkpoint directory, or those of a directory `below` them, as CRIU is told of them: until 4.2 it takes a directory
 * by name only where that is a link.
 */
export function imagesLink(checkpoint: string, below = ""): string {
  const link = `${checkpoint}/criu`;
  rmSync(link, { force: true });
  symlinkSync(`images/${below}`, link);
  return link;
}

/** The directory of a pass over the memory, below the images that build upon it: the guest's root must get there from them. */
export const passName = (pass: number): string => `pass-${pass}`;

/** For writeAtomic: restored processes read images as the guest's root; the directory above lets no one in. */
export const readable = { mode: 0o644, sync: false } as const;

const recordIn = (checkpoint: string): string => `${checkpoint}/record.json`;
const recordFile = (name: string): string => recordIn(containerPaths(name).checkpoint);

/** `sync`: it is to outlast a power cut. */
export const saveRecord = (name: string, record: CheckpointRecord, sync = true): void =>
  saveRecordIn(containerPaths(name).checkpoint, record, sync);

export function saveRecordIn(checkpoint: string, record: CheckpointRecord, sync = true): void {
  writeAtomic(recordIn(checkpoint), JSON.stringify(record), { sync });
}

/** Throws checkpoint.failed when it cannot be read. */
export function loadRecord(name: string): CheckpointRecord {
  try {
    return readRecord(containerPaths(name).checkpoint);
  } catch (error) {
    throw new BerthError(
      "checkpoint.failed",
      `the checkpoint of container ${name} is damaged: ${recordFile(name)} cannot be read`,
      `berth start --fresh ${name}`,
      error,
    );
  }
}

/** Throws what reading it throws. */
export const readRecord = (checkpoint: string): CheckpointRecord =>
  JSON.parse(readFileSync(recordIn(checkpoint), "utf8")) as CheckpointRecord; // root's own, written by saveRecord
