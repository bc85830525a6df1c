/** Taking a guest's processes from another host, and bringing them back here where nobody hears them yet. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { writeAtomic } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { cgroupHome, shiftTree } from "../checkpoint/cgroup-tree.ts";
import { moveCgroups, moveIds } from "../checkpoint/images.ts";
import { type CheckpointRecord, imagesDir, readable, saveRecord } from "../checkpoint/record.ts";
import { bringBack } from "../checkpoint/resume.ts";
import type { LockedContainer } from "../container/container.ts";
import type { Offer } from "./messages.ts";
import { receiveTree } from "./tree-receive.ts";

/** Takes images of CRIU, also while it still writes others. */
export async function receiveImages(
  chunks: AsyncIterable<Uint8Array>,
  { name }: LockedContainer,
): Promise<void> {
  mkdirSync(containerPaths(name).checkpoint, { recursive: true, mode: 0o700 });
  mkdirSync(imagesDir(name), { recursive: true, mode: 0o755 });
  await receiveTree(chunks, imagesDir(name), 0);
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
  const images = imagesDir(name);
  for (const file of readdirSync(images).filter((one) => /^userns-\d+\.img$/.test(one)))
    writeAtomic(`${images}/${file}`, moveIds(readFileSync(`${images}/${file}`), state.baseUid), readable);
  const paths = `${images}/cgroup.img`;
  writeAtomic(paths, moveCgroups(readFileSync(paths), cgroup, cgroupHome(name)), readable);
  saveRecord(name, { ...record, cgroups: shiftTree(record.cgroups, manifest.baseUid, state.baseUid) }, false);
}

/** How long it is watched: its source stands still meanwhile. */
const WATCH_MS = 50;

/** Brings it back unheard. When that fails `giveUp` says so before anything else is done. */
export async function reviveOr(container: LockedContainer, giveUp: () => void): Promise<void> {
  try {
    await bringBack(container, { connected: false, watch: WATCH_MS });
  } catch (error) {
    giveUp();
    throw error;
  }
}
