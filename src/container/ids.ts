/**
 * Host ids of containers: 65536 each, never shared. The range is chosen by hash of the container's UUID in a large
 * space, so that a container that moves to another host almost always keeps it.
 */
import { rmSync } from "node:fs";
import { hashNumber } from "../base/digest.ts";
import { BerthError } from "../base/errors.ts";
import { claim, claimant, makeDirs, readIfExists, syncDir } from "../base/files.ts";
import { leasesDir } from "../base/paths.ts";
import { ID_COUNT } from "../launch/plan.ts";

/** 2^28 to 2^31: above what people, subuid and systemd's dynamic users take, below where tools read ids as negative. */
const FIRST = 0x1000_0000 / ID_COUNT;
const LAST = 0x7fff_0000 / ID_COUNT - 1;

type Range = { readonly first: number; readonly count: number };

/** Ranges that /etc/subuid and /etc/subgid give to others. */
export function parseSubids(text: string): Range[] {
  return text
    .split("\n")
    .map((line) => line.split(":"))
    .map(([, first, count]) => ({ first: Number(first), count: Number(count) }))
    .filter(({ first, count }) => Number.isFinite(first) && Number.isFinite(count) && count > 0);
}

const taken = (base: number, others: readonly Range[]): boolean =>
  others.some(({ first, count }) => base < first + count && first < base + ID_COUNT);

/** Ranges of the host's users (/etc/subuid, /etc/subgid) that meet the container's, as they were given since. */
export const sharedRanges = (base: number): readonly Range[] =>
  subids().filter((range) => taken(base, [range]));

const subids = (): Range[] =>
  ["/etc/subuid", "/etc/subgid"].flatMap((file) => parseSubids(readIfExists(file) ?? ""));

const leaseFile = (base: number): string => `${leasesDir()}/uid/${base}`;

/** Claims a range for the container; returns its first id. */
export function claimIds(uuid: string): number {
  makeDirs(`${leasesDir()}/uid`);
  const others = subids();
  const space = LAST - FIRST + 1;
  const start = hashNumber(`ids ${uuid}`) % space;
  for (let step = 0; step < space; step++) {
    const base = (FIRST + ((start + step) % space)) * ID_COUNT;
    if (taken(base, others) || !claim(leaseFile(base), uuid)) continue;
    syncDir(`${leasesDir()}/uid`); // ids given twice after a power cut would join two guests
    return base;
  }
  throw new BerthError(
    "host.missing-feature",
    "no range of 65536 user ids is free on this host",
    "remove containers, or entries of /etc/subuid",
  );
}

/** Gives a range back if it is this container's. */
export function releaseIds(base: number, uuid: string): void {
  if (claimant(leaseFile(base)) === uuid) rmSync(leaseFile(base), { force: true });
}
