/**
 * Passes over the memory of a guest that works on. The first writes all of it down, each later one the pages that were
 * written to since the one before; so few are left for the images that are written when it stands still. Each has a directory
 * below the images, and CRIU finds what is in none of a later one by a link `parent`.
 */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";
import { type LockedContainer, mustRun } from "../container/container.ts";
import { askCriu, criuWords } from "./criu.ts";
import { complaintOf, keepLog } from "./log.ts";
import { newImages } from "./place.ts";
import { guestProcesses, readProc } from "./processes.ts";
import { needCriu } from "./program.ts";
import { imagesDir, imagesLink, passName } from "./record.ts";
import { passRequest } from "./request.ts";
import { logLevel, sizeOf } from "./suspend.ts";

/** The directory of a pass below `images`, made where it is missing. */
export function placeForPass(images: string, pass: number): string {
  const dir = `${images}/${passName(pass)}`;
  mkdirSync(dir, { mode: 0o755, recursive: true });
  return dir;
}

/** An empty directory for a pass; the first one begins with no images at all. Gives its path. */
export const makePass = (name: string, pass: number): string =>
  placeForPass(pass === 1 ? newImages(name) : imagesDir(name), pass);

/**
 * Writes the pages of a pass to its directory; the guest stands still only while they are picked. Gives their bytes. What a
 * pass that failed has left out is lost to later ones: throws checkpoint.failed, and images must build upon none then.
 */
export async function writePass({ name, state, lock }: LockedContainer, pass: number): Promise<number> {
  const { checkpoint, dumpLog } = containerPaths(name);
  const dir = `${imagesDir(name)}/${passName(pass)}`;
  const { pid } = mustRun(name).init;
  const request = passRequest({
    images: imagesLink(checkpoint, passName(pass)),
    pid,
    logLevel: logLevel(),
    parent: pass === 1 ? undefined : `../${passName(pass - 1)}`,
  });
  const words = criuWords(await needCriu(), state.baseUid);
  const verdict = await askCriu(pid, words, request, lock, () => {});
  if (verdict.ok) return sizeOf(dir);
  const { what, cure } = complaintOf(keepLog(dir, "dump.log", dumpLog), verdict.words);
  throw new BerthError("checkpoint.failed", `its memory cannot be written while it works: ${what}`, cure);
}

/** Ties passes that came from elsewhere, and the images that build upon them, together. */
export function linkPasses(images: string, passes: number): void {
  const link = (dir: string, parent: string): void => {
    rmSync(`${dir}/parent`, { force: true });
    symlinkSync(parent, `${dir}/parent`);
  };
  for (let pass = 2; pass <= passes; pass++) link(`${images}/${passName(pass)}`, `../${passName(pass - 1)}`);
  if (passes > 0) link(images, passName(passes));
}

/** Bytes of a guest's memory that images hold: what its processes have to themselves. */
export function ownMemory(name: string): number {
  const KIB = 1024;
  return guestProcesses(name).reduce((sum, { pid }) => {
    const status = readProc(pid, "status") ?? "";
    const of = (key: string): number =>
      Number(new RegExp(`^${key}:\\s*(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
    return sum + (of("RssAnon") + of("VmSwap")) * KIB;
  }, 0);
}
