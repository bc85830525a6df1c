/** Taking, restoring and removing snapshots of a container. */
import { readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";
import type { Progress } from "../base/progress.ts";
import { type LockedContainer, mustBeIdle, refuseSuspended } from "./container.ts";
import { replaceVolume, unfreezeUnused } from "./exchange.ts";
import { type Frozen, isVolumeEmpty, withFrozenLayers } from "./freeze-layers.ts";
import { sweepLayers } from "./layers.ts";
import { atPlace } from "./mount.ts";
import { mountPoints, mountSource, refuseMountedSnapshots } from "./mounted.ts";
import {
  checkSnapshotName,
  dropSnapshot,
  findSnapshot,
  hasSnapshot,
  memoryDir,
  type Snapshot,
  type SnapshotMemory,
  saveSnapshot,
} from "./snapshots.ts";
import { statusOf } from "./status.ts";
import { attachLayers, viewAttributes } from "./view-root.ts";

export type SnapshotRequest = {
  readonly name: string;
  readonly description: string | undefined;
  /** When it may be removed by a schedule. */
  readonly expires: Date | undefined;
  readonly scheduled: boolean;
  /** Writes the guest's processes down in `dir`, and runs `work` while they stand still for it; absent, only its disk is kept. */
  readonly remember?: (
    dir: string,
    work: () => Promise<void>,
  ) => Promise<{ readonly memory: SnapshotMemory; readonly milliseconds: number }>;
};

export type SnapshotResult = {
  readonly snapshot: Snapshot;
  /** How long the guest stood still, in milliseconds. */
  readonly frozen: number;
};

/** Takes a snapshot of what the container has on its disk, running or not. */
export async function createSnapshot(
  container: LockedContainer,
  request: SnapshotRequest,
  progress: Progress,
): Promise<SnapshotResult> {
  const { name } = container;
  checkSnapshotName(request.name);
  refuseSuspended(name);
  if (hasSnapshot(name, request.name))
    throw new BerthError(
      "snapshot.exists",
      `container ${name} has a snapshot ${request.name} already`,
      `choose another name, or \`berth snapshot rm ${name} ${request.name}\` first`,
    );
  const { remember } = request;
  let memory: SnapshotMemory | null = null;
  const save = async ({ layers, running, milliseconds }: Frozen): Promise<SnapshotResult> => {
    const snapshot: Snapshot = {
      version: 1,
      name: request.name,
      created: new Date().toISOString(),
      description: request.description ?? null,
      layers: [...layers],
      config: readFileSync(containerPaths(name).config, "utf8"),
      running,
      expires: request.expires?.toISOString() ?? null,
      scheduled: request.scheduled,
      memory,
    };
    saveSnapshot(name, snapshot);
    return { snapshot, frozen: milliseconds };
  };
  if (remember === undefined) return await withFrozenLayers(container, progress, save);
  return await withFrozenLayers(container, progress, save, async (work) => {
    const remembered = await remember(memoryDir(name, request.name), work);
    memory = remembered.memory;
    return remembered.milliseconds;
  });
}

/**
 * Puts the container's disk back to what it was; what it has now goes once that has succeeded, and with `revive` once the
 * guest goes on with the other disk, which is a part of it.
 */
export async function restoreSnapshot(
  container: LockedContainer,
  snapshotName: string,
  revive?: (container: LockedContainer, snapshot: Snapshot) => Promise<void>,
): Promise<Snapshot> {
  const snapshot = findSnapshot(container.name, snapshotName);
  mustBeIdle(container, "its disk cannot be exchanged under it");
  await replaceVolume(
    container,
    snapshot.layers,
    revive === undefined
      ? undefined
      : async (state) => {
          await revive({ ...container, state }, snapshot);
        },
  );
  return snapshot;
}

/** Mounts a snapshot's tree on the host, read-only, at `dir` or a place of berth's own; gives the place. */
export async function mountSnapshot(
  container: LockedContainer,
  snapshotName: string,
  dir: string | undefined,
): Promise<string> {
  const { layers, name } = findSnapshot(container.name, snapshotName);
  refuseMountedSnapshots(container, [name]);
  if (layers.length === 0)
    throw new BerthError(
      "storage.failed",
      `snapshot ${name} of container ${container.name} holds nothing: it was taken before the container had written anything`,
      "its files are those of the template",
    );
  return await atPlace(container.name, name, dir, async (place) => {
    await attachLayers(container, layers, place, mountSource(container.state.uuid, name), [
      ...viewAttributes,
      "nosymfollow",
    ]);
  });
}

/** Removes snapshots, and the layers that nobody has any more. */
export async function removeSnapshots(container: LockedContainer, names: readonly string[]): Promise<void> {
  const { name } = container;
  const snapshots = names.map((word) => findSnapshot(name, word));
  refuseMountedSnapshots(container, names);
  for (const snapshot of snapshots) dropSnapshot(name, snapshot.name);
  // Its volume stays where it is while somebody looks into it, or waits to go on with it.
  if (statusOf(name).state === "stopped" && !container.state.suspended && mountPoints(container).length === 0)
    await unfreezeUnused(container, async () => await isVolumeEmpty(container));
  await sweepLayers();
}
