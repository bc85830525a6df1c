/** What lies on disk for a volume that has a name: volumes/NAME.json, written whole. */
import { rmSync } from "node:fs";
import * as v from "valibot";
import { closest } from "../base/closest.ts";
import { BerthError } from "../base/errors.ts";
import { listIfExists, makeDirs, readIfExists, syncDir, writeAtomic } from "../base/files.ts";
import { instance } from "../base/paths.ts";
import { isPlainName, PLAIN_NAME } from "../base/plain-name.ts";
import { driverNames } from "../config/storage-drivers.ts";

/** undefined is no limit. */
const limit = v.optional(v.number());

const recordSchema = v.object({
  version: v.literal(1),
  name: v.string(),
  /** By which the storage driver knows it. */
  id: v.string(),
  storage: v.picklist(driverNames),
  bytes: limit,
  inodes: limit,
  /** ISO 8601. */
  created: v.string(),
  /** What is under way, or was cut short: completed or undone by whoever opens it next. */
  intent: v.optional(
    v.variant("operation", [
      v.object({ operation: v.picklist(["create", "remove"]) }),
      v.object({ operation: v.literal("resize"), bytes: limit, inodes: limit }),
    ]),
  ),
});

export type VolumeRecord = v.InferOutput<typeof recordSchema>;

const dir = (): string => `${instance.lib}/volumes`;
const fileOf = (name: string): string => `${dir()}/${name}.json`;

/** Throws volume.bad-name unless the word can be a volume's name. */
export function checkVolumeName(name: string): void {
  if (isPlainName(name)) return;
  throw new BerthError("volume.bad-name", `${JSON.stringify(name)} cannot be a volume's name`, PLAIN_NAME);
}

/** Names of all volumes, sorted; those whose creation was cut short too. */
export const volumeNames = (): readonly string[] =>
  listIfExists(dir())
    .flatMap((file) => /^(.*)\.json$/.exec(file)?.[1] ?? [])
    .filter(isPlainName)
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));

/** The volume's record, or undefined when there is none. Throws config.unreadable when it is damaged. */
export function readVolume(name: string): VolumeRecord | undefined {
  const text = isPlainName(name) ? readIfExists(fileOf(name)) : undefined;
  if (text === undefined) return undefined;
  try {
    return v.parse(recordSchema, JSON.parse(text));
  } catch (error) {
    throw new BerthError(
      "config.unreadable",
      `${fileOf(name)} is damaged: ${error instanceof Error ? error.message : String(error)}`,
      "restore it from a backup; berth writes it, nobody else should",
      error,
    );
  }
}

export function writeVolume(record: VolumeRecord): void {
  makeDirs(dir());
  writeAtomic(fileOf(record.name), `${JSON.stringify(record, null, 2)}\n`);
}

export function dropVolume(name: string): void {
  rmSync(fileOf(name), { force: true });
  syncDir(dir());
}

/** The error for a name that no volume has, with the nearest one. */
export function noSuchVolume(name: string): BerthError {
  const nearest = closest(name, volumeNames());
  return new BerthError(
    "volume.not-found",
    `there is no volume ${JSON.stringify(name)}`,
    nearest === undefined
      ? `\`berth volume ls\` shows those there are, \`berth volume create ${isPlainName(name) ? name : "NAME"}\` makes one`
      : `did you mean ${nearest}?`,
  );
}
