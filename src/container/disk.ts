/** What a container uses of its disk limits, and whether it is above the soft ones. */
import { rmSync, statfsSync } from "node:fs";
import { claim, claimant, makeDirs } from "../base/files.ts";
import { containerPaths, instance } from "../base/paths.ts";
import type { ContainerConfig } from "../config/schema.ts";
import type { StorageDriver } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { appendEvent } from "./events.ts";
import type { Status } from "./status.ts";
import type { ContainerState } from "./store.ts";

/** null: not limited, or not counted. */
export type DiskUse = {
  readonly used: number;
  readonly size: number | null;
  readonly inodesUsed: number | null;
  readonly inodes: number | null;
  readonly soft: number | null;
  readonly inodesSoft: number | null;
  /** It is above a soft limit. */
  readonly over: Over | null;
};

export type Over = {
  /** When that was noticed first: ISO 8601. */
  readonly since: string;
  /** When more will be refused; null where nothing refuses, it is only told. */
  readonly until: string | null;
};

type Counts = Omit<DiskUse, "soft" | "inodesSoft" | "over"> & { readonly graceEnds?: number | undefined };

type Facts = {
  readonly name: string;
  readonly config: ContainerConfig;
  readonly state: ContainerState;
  readonly status: Status;
};

/** What it uses; undefined when nobody counts (driver plain), or it ended just now. Crossing a soft limit makes an event. */
export function diskOf({ name, config, state, status }: Facts): DiskUse | undefined {
  const driver = storageDriver(state.storage);
  const counts =
    status.state === "stopped" || driver.countsLive
      ? counted(driver, state.uuid)
      : seenInside(driver, status.init.pid);
  if (counts === undefined) return undefined;
  const { graceEnds, ...rest } = counts;
  const [soft, inodesSoft] = [config["disk-soft"] ?? null, config["inodes-soft"] ?? null];
  const since =
    soft === null && inodesSoft === null
      ? undefined
      : noteCrossing(name, isAbove(counts.used, soft) || isAbove(counts.inodesUsed, inodesSoft), {
          used: counts.used,
          soft,
          inodesUsed: counts.inodesUsed,
          inodesSoft,
        });
  const until = graceEnds === undefined ? null : new Date(graceEnds).toISOString();
  return { ...rest, soft, inodesSoft, over: since === undefined ? null : { since, until } };
}

const isAbove = (used: number | null, soft: number | null): boolean =>
  used !== null && soft !== null && used > soft;

function counted(driver: StorageDriver, id: string): Counts | undefined {
  try {
    const { bytes, inodes, usedBytes, usedInodes, graceEnds } = driver.usage(id);
    if (usedBytes === undefined) return undefined;
    return {
      used: usedBytes,
      size: bytes ?? null,
      inodesUsed: usedInodes ?? null,
      inodes: inodes ?? null,
      graceEnds,
    };
  } catch {
    return undefined; // what is wrong with the volume or its pool is told by who works on it
  }
}

/** The guest's root as its own `df` sees it. The path ends at a link the kernel makes: nothing of the guest is followed. */
function seenInside(driver: StorageDriver, pid: number): Counts | undefined {
  if (!driver.enforcesQuota) return undefined; // it would be the host's file system
  try {
    const { blocks, bfree, bsize, files, ffree } = statfsSync(`/proc/${pid}/root`);
    return { used: (blocks - bfree) * bsize, size: blocks * bsize, inodesUsed: files - ffree, inodes: files };
  } catch {
    return undefined;
  }
}

/** Its soft limits were taken away: it is above none any more. */
export const forgetCrossing = (name: string): void => {
  noteCrossing(name, false, {});
};

/**
 * Keeps the time since when it is above, and tells the log of both crossings, once whoever looks. No daemon watches:
 * the first command that looks at it notices.
 */
function noteCrossing(
  name: string,
  above: boolean,
  figures: Readonly<Record<string, number | null>>,
): string | undefined {
  const mark = `${containerPaths(name).dir}/above-soft-limit`;
  const since = claimant(mark);
  if (above === (since !== undefined)) return since;
  const now = new Date().toISOString();
  try {
    if (!above) rmSync(mark, { force: true });
    else if (!claim(mark, now)) return claimant(mark); // another command was first
    makeDirs(instance.log);
    appendEvent(above ? "disk-soft" : "disk-soft-end", name, figures);
  } catch {} // a host that is full or read-only must still be looked at
  return above ? now : undefined;
}
