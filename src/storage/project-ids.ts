/** Project ids of volumes: claimed by a link named after the id, pointing to the volume, like ranges of user ids. */
import { renameSync, rmSync, symlinkSync } from "node:fs";
import { hashNumber } from "../base/digest.ts";
import { BerthError } from "../base/errors.ts";
import { claim, claimant, listIfExists, makeDirs, readIfExists, syncDir } from "../base/files.ts";
import { leasesDir } from "../base/paths.ts";
import { quotaOf } from "../kernel/quota.ts";

/** A million ids away from the small ones that people put into /etc/projid. */
const FIRST = 0x10_0000;
const COUNT = 0x10_0000;

const dir = (): string => `${leasesDir()}/project`;
const leaseFile = (id: number): string => `${dir()}/${id}`;

/** Ids that /etc/projid (name:id) and /etc/projects (id:path) give to others. */
export function parseProjects(projid: string, projects: string): ReadonlySet<number> {
  const column = (text: string, at: number): number[] =>
    text.split("\n").map((line) => Number(line.split(":")[at] || Number.NaN));
  return new Set([...column(projid, 1), ...column(projects, 0)].filter(Number.isInteger));
}

/** Claims an id of which the file system of `root` holds nothing. */
export function claimProject(volume: string, root: string): number {
  makeDirs(dir());
  const others = parseProjects(readIfExists("/etc/projid") ?? "", readIfExists("/etc/projects") ?? "");
  const start = hashNumber(`project ${volume}`) % COUNT;
  for (let step = 0; step < COUNT; step += 1) {
    const id = FIRST + ((start + step) % COUNT);
    if (others.has(id) || !claim(leaseFile(id), volume)) continue;
    if (quotaOf(root, id).usedInodes === 0) {
      syncDir(dir()); // an id given twice after a power cut would join two quotas
      return id;
    }
    rmSync(leaseFile(id), { force: true }); // somebody else's files have it
  }
  throw new BerthError("storage.failed", "no project id is free", "remove containers");
}

/** Whose id it is, or undefined. */
export const projectOwner = (id: number): string | undefined => claimant(leaseFile(id));

/** The id belongs to another volume from now on, without a moment in which it is free. */
export function passOnProject(id: number, to: string): void {
  const fresh = `${dir()}/.${id}-${process.pid}`;
  rmSync(fresh, { force: true });
  symlinkSync(to, fresh);
  renameSync(fresh, leaseFile(id));
  syncDir(dir());
}

/** Gives the volume's ids back; `id` when it is known saves looking for it. */
export function releaseProject(volume: string, id: number | undefined): void {
  const files = id === undefined ? listIfExists(dir()).map((name) => `${dir()}/${name}`) : [leaseFile(id)];
  for (const file of files) if (claimant(file) === volume) rmSync(file, { force: true });
}

/** Claims by id. */
export const projectClaims = (): readonly { readonly id: number; readonly volume: string }[] =>
  listIfExists(dir()).flatMap((name) => {
    const volume = claimant(`${dir()}/${name}`);
    return volume === undefined ? [] : [{ id: Number(name), volume }];
  });
