/** What lies on disk for the snapshots of a container: one file each, naming the layers that make it. */
import { rmSync } from "node:fs";
import * as v from "valibot";
import { closest } from "../base/closest.ts";
import { BerthError } from "../base/errors.ts";
import { listIfExists, makeDirs, readIfExists, syncDir, writeAtomic } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { layersSchema } from "./store.ts";

const snapshotSchema = v.object({
  version: v.literal(1),
  name: v.string(),
  /** ISO 8601. */
  created: v.string(),
  description: v.nullable(v.string()),
  /** From top to bottom, above the template. */
  layers: layersSchema,
  /** config.yaml as it was. */
  config: v.string(),
  /** Whether the guest ran: what it had not yet written to its disk is missing, as after a power cut. */
  running: v.boolean(),
  /** ISO 8601, from when on it may be removed; null for never. */
  expires: v.nullable(v.string()),
  /** Made by a schedule, which also removes it. */
  scheduled: v.boolean(),
  /** What its processes take beside the disk, where they were kept too (memoryDir); null where they were not. */
  memory: v.optional(
    v.nullable(
      v.object({
        bytes: v.number(),
        processes: v.number(),
        /** The guest's, with prefix length: its connections are bound to it. */
        address: v.nullable(v.string()),
        /** Where its cgroups lay: "/berth/web1". */
        cgroup: v.string(),
      }),
    ),
    null,
  ),
});

export type Snapshot = v.InferOutput<typeof snapshotSchema>;

/** What is known of the processes that a snapshot keeps. */
export type SnapshotMemory = NonNullable<Snapshot["memory"]>;

const pattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const SUFFIX = ".json";
const MEMORY = ".memory";

const fileOf = (container: string, name: string): string =>
  `${containerPaths(container).snapshots}/${name}${SUFFIX}`;

/** Where a snapshot keeps processes, in the form of a checkpoint (checkpoint/record.ts). */
export const memoryDir = (container: string, name: string): string =>
  `${containerPaths(container).snapshots}/${name}${MEMORY}`;

/** Throws usage.bad-argument unless the word can be a snapshot's name. */
export function checkSnapshotName(name: string): void {
  if (pattern.test(name)) return;
  throw new BerthError(
    "usage.bad-argument",
    `${JSON.stringify(name)} cannot be a snapshot's name`,
    "use 1 to 64 letters, digits, dots, - and _, beginning with a letter or digit",
  );
}

/** All snapshots of a container, oldest first. Throws config.unreadable when one is damaged. */
export function listSnapshots(container: string): readonly Snapshot[] {
  return listIfExists(containerPaths(container).snapshots)
    .filter((file) => file.endsWith(SUFFIX))
    .map((file) => readSnapshot(container, file.slice(0, -SUFFIX.length)))
    .filter((snapshot) => snapshot !== undefined)
    .sort((a, b) => a.created.localeCompare(b.created));
}

/** The snapshot of that name. Throws snapshot.not-found with the nearest name. */
export function findSnapshot(container: string, name: string): Snapshot {
  const found = pattern.test(name) ? readSnapshot(container, name) : undefined;
  if (found !== undefined) return found;
  const nearest = closest(
    name,
    listSnapshots(container).map((snapshot) => snapshot.name),
  );
  throw new BerthError(
    "snapshot.not-found",
    `container ${container} has no snapshot ${JSON.stringify(name)}`,
    nearest === undefined
      ? `\`berth snapshot ls ${container}\` shows those there are`
      : `did you mean ${nearest}?`,
  );
}

export const hasSnapshot = (container: string, name: string): boolean =>
  readIfExists(fileOf(container, name)) !== undefined;

function readSnapshot(container: string, name: string): Snapshot | undefined {
  const file = fileOf(container, name);
  const text = readIfExists(file);
  if (text === undefined) return undefined;
  try {
    return v.parse(snapshotSchema, JSON.parse(text));
  } catch (error) {
    throw new BerthError(
      "config.unreadable",
      `${file} is damaged: ${error instanceof Error ? error.message : String(error)}`,
      "restore it from a backup, or remove it: the snapshot is lost then",
      error,
    );
  }
}

export function saveSnapshot(container: string, snapshot: Snapshot): void {
  makeDirs(containerPaths(container).snapshots);
  writeAtomic(fileOf(container, snapshot.name), `${JSON.stringify(snapshot, null, 2)}\n`);
}

/** Forgets the snapshot and its processes; its layers stay until they are swept. */
export function dropSnapshot(container: string, name: string): void {
  rmSync(fileOf(container, name), { force: true });
  syncDir(containerPaths(container).snapshots);
  sweepMemories(container);
}

/** Removes processes that belong to no snapshot: one was begun and not finished, or is gone. */
export function sweepMemories(container: string): void {
  const { snapshots } = containerPaths(container);
  for (const entry of listIfExists(snapshots).filter((one) => one.endsWith(MEMORY)))
    if (!hasSnapshot(container, entry.slice(0, -MEMORY.length)))
      rmSync(`${snapshots}/${entry}`, { recursive: true, force: true });
}
