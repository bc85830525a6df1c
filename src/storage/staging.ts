/**
 * Where a template is built: `.build-RANDOM/` beside the finished ones, with `.build-RANDOM.json` that says who
 * builds it. Whoever is killed leaves both; the next build, or sweepBuilds, removes what has no living builder.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { readIfExists, writeAtomic } from "../base/files.ts";
import { templatesDir } from "../base/paths.ts";
import { bootId, startTime } from "../kernel/process.ts";
import { removeDirectory } from "./remove.ts";
import { makeTemplatesDir } from "./templates.ts";

export type Staging = {
  /** The build's own directory; `rootfs` below it becomes the template's. */
  readonly dir: string;
  readonly rootfs: string;
  /** For temporary files of the programs that build. */
  readonly temporary: string;
  /** Removes all of it (not what was renamed away). */
  readonly discard: () => Promise<void>;
};

/** A new staging directory of this process. */
export function openStaging(): Staging {
  const dir = `${makeTemplatesDir()}/.build-${crypto.randomUUID().slice(-12)}`;
  const record = `${dir}.json`;
  // The record comes first and goes last: a directory without one has no builder.
  writeAtomic(
    record,
    JSON.stringify({ pid: process.pid, startTime: startTime(process.pid), bootId: bootId() }),
    { sync: false },
  );
  for (const path of [dir, `${dir}/rootfs`, `${dir}/tmp`]) mkdirSync(path, { mode: 0o755 });
  return {
    dir,
    rootfs: `${dir}/rootfs`,
    temporary: `${dir}/tmp`,
    discard: async () => {
      await removeDirectory(dir);
      rmSync(record, { force: true });
    },
  };
}

/** Removes what builds and removals that were killed have left. Gives the number of directories removed. */
export async function sweepBuilds(): Promise<number> {
  const dir = templatesDir();
  let swept = 0;
  for (const name of listIfExists(dir)) {
    const build = /^(\.build-[0-9a-f]{12})(\.json)?(\.new-\d+)?$/.exec(name)?.[1];
    const removal = /^\.removed-[0-9a-f]{64}-(\d+)$/.exec(name);
    if (build !== undefined ? isAlive(`${dir}/${build}.json`) : removal === null) continue;
    if (removal !== null && startTime(Number(removal[1])) !== undefined) continue;
    await removeDirectory(`${dir}/${name}`);
    if (!name.includes(".json")) swept += 1;
  }
  return swept;
}

function isAlive(record: string): boolean {
  const text = readIfExists(record);
  if (text === undefined) return false;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return false;
    const { pid, startTime: began, bootId: boot } = value as Record<string, unknown>;
    return typeof pid === "number" && boot === bootId() && startTime(pid) === began;
  } catch {
    return false;
  }
}

function listIfExists(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
