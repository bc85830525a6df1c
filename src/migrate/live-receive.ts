/** Taking a guest's processes from another host, and bringing them back here where nobody hears them yet. */
import { readdirSync, readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { writeAtomic } from "../base/files.ts";
import { shiftTree } from "../checkpoint/cgroup-tree.ts";
import { moveIds } from "../checkpoint/images.ts";
import { newImages, renameCgroups } from "../checkpoint/place.ts";
import { type CheckpointRecord, readable, saveRecord } from "../checkpoint/record.ts";
import { bringBack } from "../checkpoint/resume.ts";
import type { LockedContainer } from "../container/container.ts";
import { loadState, saveState } from "../container/store.ts";
import { discardCheckpoint } from "../container/suspended.ts";
import type { Offer } from "./messages.ts";
import { receiveTree } from "./tree-receive.ts";

/** Puts images and record where a resume finds them, with this host's ids. */
export async function receiveProcesses(
  chunks: AsyncIterable<Uint8Array>,
  { name, state }: LockedContainer,
  { record, cgroup }: { readonly record: CheckpointRecord; readonly cgroup: string },
  { manifest }: Offer,
): Promise<void> {
  if (state.address?.split("/")[0] !== manifest.address?.split("/")[0])
    throw new BerthError(
      "network.failed",
      `its address ${manifest.address} was taken by another container meanwhile`,
      "its connections need it: free it there",
    );
  await placeProcesses({ name, state }, { record, cgroup, baseUid: manifest.baseUid }, async (images) => {
    await receiveTree(chunks, images, 0);
  });
}

/** Puts images and record of a guest that had other ids where a resume finds them; `fill` brings the images. */
export async function placeProcesses(
  { name, state }: Pick<LockedContainer, "name" | "state">,
  { record, cgroup, baseUid }: { record: CheckpointRecord; cgroup: string; baseUid: number },
  fill: (images: string) => Promise<void>,
): Promise<void> {
  const images = newImages(name);
  await fill(images);
  for (const file of readdirSync(images).filter((one) => /^userns-\d+\.img$/.test(one)))
    writeAtomic(`${images}/${file}`, moveIds(readFileSync(`${images}/${file}`), state.baseUid), readable);
  renameCgroups(images, cgroup, name);
  saveRecord(name, { ...record, cgroups: shiftTree(record.cgroups, baseUid, state.baseUid) });
}

/** Brings it back unheard. When that fails `giveUp` says so before anything else is done. */
export async function reviveOr(container: LockedContainer, giveUp: () => void): Promise<void> {
  const { name } = container;
  try {
    await bringBack(container, { connected: false });
  } catch (error) {
    giveUp();
    throw error;
  }
  saveState(name, { ...loadState(name), suspended: false });
  discardCheckpoint(name);
}
