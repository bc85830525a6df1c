/**
 * Notes of what came from other hosts. Making one is the switch of a migration: before it the container is the other
 * host's, afterwards this one's. It stays until that host has removed what it had.
 */
import { rmSync } from "node:fs";
import { claim, claimant, makeDirs, syncDir } from "../base/files.ts";
import { leasesDir } from "../base/paths.ts";

const dir = (): string => `${leasesDir()}/arrived`;

/** `id` is a migration's UUID. */
const fileOf = (id: string): string => `${dir()}/${id}`;

/** Notes that the container of that migration is this host's; it lasts when this returns. */
export function noteArrival(id: string, name: string): void {
  makeDirs(dir());
  claim(fileOf(id), name);
  syncDir(dir());
}

export const hasArrived = (id: string): boolean => claimant(fileOf(id)) !== undefined;

/** Nobody will ask any more. */
export function forgetArrival(id: string): void {
  rmSync(fileOf(id), { force: true });
}
