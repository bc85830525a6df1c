/** Taking a guest's processes from another host, and bringing them back here where nobody hears them yet. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { writeAtomic } from "../base/files.ts";
import { shiftTree } from "../checkpoint/cgroup-tree.ts";
import { moveIds } from "../checkpoint/images.ts";
import { linkPasses, placeForPass } from "../checkpoint/passes.ts";
import { newImages, renameCgroups } from "../checkpoint/place.ts";
import { type CheckpointRecord, imagesDir, readable, saveRecord } from "../checkpoint/record.ts";
import { bringBack } from "../checkpoint/resume.ts";
import type { LockedContainer } from "../container/container.ts";
import type { Offer } from "./messages.ts";
import { receiveFiles } from "./tree-receive.ts";

/** Takes images of CRIU, also while it still writes others; those of a `pass` into a directory of its own. */
export async function receiveImages(
  chunks: AsyncIterable<Uint8Array>,
  { name }: LockedContainer,
  pass: number | undefined,
): Promise<void> {
  const there = imagesDir(name);
  const images = existsSync(there) ? there : newImages(name);
  await receiveFiles(chunks, pass === undefined ? images : placeForPass(images, pass));
}

/** All images are there: they get this host's ids, and the record what a resume needs beside them. */
export function completeProcesses(
  { name, state }: LockedContainer,
  { record, cgroup }: { readonly record: CheckpointRecord; readonly cgroup: string },
  { manifest }: Offer,
): void {
  if (state.address?.split("/")[0] !== manifest.address?.split("/")[0])
    throw new BerthError(
      "network.failed",
      `its address ${manifest.address} was taken by another container meanwhile`,
      "its connections need it: free it there",
    );
  linkPasses(imagesDir(name), record.passes ?? 0);
  takeOver({ name, state }, { record, cgroup, baseUid: manifest.baseUid }, false);
}

type Origin = {
  readonly record: CheckpointRecord;
  /** Where its cgroups were. */
  readonly cgroup: string;
  readonly baseUid: number;
};

/** Puts images and record of a guest that had other ids where a resume finds them; `fill` brings the images. */
export async function placeProcesses(
  container: Pick<LockedContainer, "name" | "state">,
  origin: Origin,
  fill: (images: string) => Promise<void>,
): Promise<void> {
  await fill(newImages(container.name));
  takeOver(container, origin, true);
}

/** Gives the images that are there this container's ids and cgroups. */
function takeOver(
  { name, state }: Pick<LockedContainer, "name" | "state">,
  { record, cgroup, baseUid }: Origin,
  sync: boolean,
): void {
  const images = imagesDir(name);
  for (const file of readdirSync(images).filter((one) => /^userns-\d+\.img$/.test(one)))
    writeAtomic(`${images}/${file}`, moveIds(readFileSync(`${images}/${file}`), state.baseUid), readable);
  renameCgroups(images, cgroup, name);
  saveRecord(name, { ...record, cgroups: shiftTree(record.cgroups, baseUid, state.baseUid) }, sync);
}

/** How long it is watched: its source stands still meanwhile. */
const WATCH_MS = 50;

/** Brings it back unheard. When that fails `giveUp` says so before anything else is done. */
export async function reviveOr(container: LockedContainer, giveUp: () => void): Promise<void> {
  try {
    await bringBack(container, WATCH_MS);
  } catch (error) {
    giveUp();
    throw error;
  }
}
