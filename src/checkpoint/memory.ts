/** Snapshots with memory: the guest is written down at the very moment of its disk and goes on; later both come back together. */
import { existsSync, linkSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { BerthError } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import type { Progress } from "../base/progress.ts";
import type { LockedContainer } from "../container/container.ts";
import type { Remember } from "../container/freeze-layers.ts";
import {
  createSnapshot,
  restoreSnapshot,
  type SnapshotRequest,
  type SnapshotResult,
} from "../container/snapshot.ts";
import { findSnapshot, memoryDir, type Snapshot, type SnapshotMemory } from "../container/snapshots.ts";
import { bringBack } from "./bring-back.ts";
import { cgroupHome } from "./cgroup-tree.ts";
import { newImages, renameCgroups } from "./place.ts";
import { needCriu } from "./program.ts";
import { imagesIn, readRecord, saveRecord } from "./record.ts";
import { hinting } from "./resume.ts";
import type { Sessions } from "./sessions.ts";
import { mustBeWritable, sizeOf, writeBeside } from "./suspend.ts";

/** Takes a snapshot of disk and processes of a running guest, which goes on. Throws what a suspend would. */
export async function createMemorySnapshot(
  container: LockedContainer,
  request: Omit<SnapshotRequest, "remember">,
  progress: Progress,
  sessions: Sessions = {},
): Promise<SnapshotResult> {
  await mustBeWritable(container, sessions);
  return await createSnapshot(
    container,
    { ...request, remember: (dir, work) => remember(container, dir, work) },
    progress,
  );
}

async function remember(
  container: LockedContainer,
  dir: string,
  work: Parameters<Remember>[0],
): Promise<{ memory: SnapshotMemory; milliseconds: number }> {
  const { name, state } = container;
  makeDirs(dirname(dir));
  const { bytes, processes, frozen } = await writeBeside(container, dir, work);
  const memory = { bytes, processes, address: state.address, cgroup: cgroupHome(name) };
  return { memory, milliseconds: frozen };
}

/** Puts disk and processes of a stopped container back to the snapshot: it goes on as it was then. On a failure nothing has changed. */
export async function restoreMemorySnapshot(
  container: LockedContainer,
  snapshotName: string,
  progress: Progress,
): Promise<Snapshot> {
  const { name, state } = container;
  const { memory } = findSnapshot(name, snapshotName);
  if (memory === null)
    throw new BerthError(
      "usage.bad-argument",
      `snapshot ${snapshotName} of container ${name} was taken without its processes`,
      "restore its disk alone, and start it",
    );
  await needCriu();
  if (memory.address !== state.address)
    throw new BerthError(
      "network.failed",
      `container ${name} had the address ${memory.address} when snapshot ${snapshotName} was taken, and now has ${state.address}: its connections are bound to that`,
      `\`berth set ${name} --address ${memory.address?.split("/")[0]}\`, or --disk-only boots the disk of then`,
    );
  const dir = memoryDir(name, snapshotName);
  mustBeWhole(dir, memory);
  progress.emit({ type: "step", label: "bringing disk, processes and connections back" });
  return await restoreSnapshot(container, snapshotName, async (exchanged) => {
    placeImages(name, dir, memory.cgroup);
    await bringBack(exchanged).catch((error: unknown) => {
      throw hinting(error, "nothing has changed; --disk-only boots the disk of then");
    });
  });
}

/** CRIU waits for ever for pages that are not there. */
function mustBeWhole(dir: string, { bytes }: SnapshotMemory): void {
  const there = existsSync(imagesIn(dir)) ? sizeOf(imagesIn(dir)) : 0;
  if (there !== bytes)
    throw new BerthError(
      "checkpoint.failed",
      `${dir} is damaged: it has ${there} bytes instead of ${bytes}`,
      "--disk-only boots the disk of then",
    );
}

/** Puts a checkpoint kept in `from` where a resume finds it, under the name that the container has now; `from` stays as it is. */
function placeImages(name: string, from: string, cgroup: string): void {
  const images = newImages(name);
  // Whatever is edited here gets a new file; the pages are only read.
  for (const file of readdirSync(imagesIn(from))) linkSync(`${imagesIn(from)}/${file}`, `${images}/${file}`);
  renameCgroups(images, cgroup, name);
  saveRecord(name, readRecord(from));
}
