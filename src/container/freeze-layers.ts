/**
 * What a container lies on at this moment, as layers that stay as they are: for a snapshot or a clone. A stopped one
 * only changes names: its volume becomes a layer. Of a running one, whose overlay is mounted, a copy is made while it
 * runs, and what changed meanwhile follows while it stands still for a moment.
 */
import { readdirSync } from "node:fs";
import { orInterrupted, type Progress } from "../base/progress.ts";
import { openTreeCopy, type TreeCopy } from "../kernel/tree-tool.ts";
import { cgroups } from "../resources/cgroup.ts";
import type { Layer } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { copyUpAliasesOf } from "./aliases.ts";
import type { LockedContainer } from "./container.ts";
import { diskLimits } from "./disk-limits.ts";
import { forgetIndex, freezeVolume } from "./exchange.ts";
import { clearIntent, declareIntent } from "./intent.ts";
import { newLayerId, sweepLayers } from "./layers.ts";
import { refuseMounted } from "./mounted.ts";
import { sweepMemories } from "./snapshots.ts";
import { statusOf } from "./status.ts";

export type Frozen = {
  /** From top to bottom, above the template. */
  readonly layers: readonly Layer[];
  /** Whether the guest ran. */
  readonly running: boolean;
  /** How long it stood still; 0 when it did not. */
  readonly milliseconds: number;
};

/**
 * Lets a guest stand still while `work` runs, and writes its processes down for that; it goes on afterwards. Gives for how many
 * milliseconds it stood.
 */
export type Remember = (work: () => Promise<void>) => Promise<number>;

/**
 * Hands the layers to `work`, which notes who has them now. If it fails nothing has changed. With `remember` the guest, which
 * must run, is written down at the very moment of its disk.
 */
export async function withFrozenLayers<T>(
  container: LockedContainer,
  progress: Progress,
  work: (frozen: Frozen) => Promise<T>,
  remember?: Remember,
): Promise<T> {
  const { name, state } = container;
  if (remember !== undefined) return await withCopy(container, progress, work, remember);
  const running = statusOf(name).state !== "stopped";
  const still = { running, milliseconds: 0 };
  if (!running) refuseMounted(container);
  if (!running && (await isVolumeEmpty(container))) return await work({ ...still, layers: state.layers });
  if (!running && storageDriver(state.storage).snapshot === undefined) {
    await copyUpAliasesOf(container);
    return await freezeVolume(container, async (layers) => await work({ ...still, layers }));
  }
  return await withCopy(container, progress, work);
}

/** A volume with more than this holds something, whatever the driver and the overlay need for themselves. */
const SURELY_USED_INODES = 64;

/** Whether the container has written nothing since its last layer, or since it was created. */
export async function isVolumeEmpty({ state }: Pick<LockedContainer, "state">): Promise<boolean> {
  // Spares a mount where the driver counts.
  const { usedInodes = 0 } = storageDriver(state.storage).usage(state.uuid);
  if (usedInodes > SURELY_USED_INODES) return false;
  return await storageDriver(state.storage).withVolume(
    state.uuid,
    async (dir) => readdirSync(`${dir}/upper`).length === 0,
  );
}

/**
 * Runs `work` with layers that stay as they are while the guest runs on: its own, and on top a copy of what it has written since,
 * which goes afterwards. A stopped container needs none.
 */
export async function withStillLayers<T>(
  container: LockedContainer,
  progress: Progress,
  work: (frozen: Frozen) => Promise<T>,
  remember?: Remember,
): Promise<T> {
  return await withCopy(
    container,
    progress,
    async (frozen) => {
      const result = await work(frozen);
      // Before the intent that names it goes.
      const [copy] = frozen.layers;
      if (copy !== undefined) await storageDriver(copy.storage).remove(copy.id);
      return result;
    },
    remember,
  );
}

async function withCopy<T>(
  container: LockedContainer,
  progress: Progress,
  work: (frozen: Frozen) => Promise<T>,
  remember?: Remember,
): Promise<T> {
  const { name, state } = container;
  const { uuid, storage, baseUid } = state;
  const running = statusOf(name).state !== "stopped";
  const layer: Layer = { id: newLayerId(), storage, baseUid };
  const remembers = remember !== undefined;
  const atOnce = storageDriver(storage).snapshot !== undefined;
  const thaw = !remembers && !atOnce && statusOf(name).state === "running";
  declareIntent(name, { operation: "copy", uuid, storage, layers: [layer], thaw, remembers });
  try {
    const standStill = remember ?? ((last: () => Promise<void>) => whileStill(name, thaw, last));
    const milliseconds = await fillCopy(container, layer, standStill, progress);
    const result = await work({ layers: [layer, ...state.layers], running, milliseconds });
    clearIntent(name);
    return result;
  } catch (error) {
    sweepMemories(name);
    clearIntent(name);
    await sweepLayers();
    throw orInterrupted(progress, `copying what ${name} has written`, error);
  }
}

/** Says how many milliseconds the guest stood still. */
async function fillCopy(
  container: LockedContainer,
  layer: Layer,
  standStill: Remember,
  progress: Progress,
): Promise<number> {
  const { name, state } = container;
  const driver = storageDriver(state.storage);
  progress.emit({ type: "step", label: `copying what ${name} has written` });
  const { snapshot } = driver;
  if (snapshot !== undefined) {
    const milliseconds = await standStill(async () => {
      await copyUpAliasesOf(container);
      await snapshot(state.uuid, layer.id);
    });
    await forgetIndex(layer);
    return milliseconds;
  }
  await driver.create(layer.id, diskLimits(container.config));
  const milliseconds = await driver.withVolume(
    state.uuid,
    async (from) =>
      await driver.withVolume(layer.id, async (to) => {
        await using tree = openTreeCopy(`${from}/upper`, `${to}/upper`, {
          signal: progress.signal,
          onProgress: (entries) =>
            progress.emit({
              type: "advance",
              label: "copying",
              done: entries,
              total: undefined,
              unit: "items",
            }),
        });
        await followChanges(tree, progress);
        const still = await standStill(async () => {
          await copyUpAliasesOf(container);
          await tree.pass({ sync: false });
        });
        await tree.sync();
        return still;
      }),
  );
  await driver.seal(layer.id);
  return milliseconds;
}

/** Rounds of copying while the guest runs, until little is left or it writes as fast as we copy. */
const MOST_ROUNDS = 5;
const LITTLE = 32;

async function followChanges(tree: TreeCopy, progress: Pick<Progress, "signal">): Promise<void> {
  for (let round = 1; round <= MOST_ROUNDS; round += 1) {
    const { copied } = await tree.pass();
    progress.signal.throwIfAborted();
    if (round > 1 && copied < LITTLE) return;
  }
}

/** Runs `work` while every process of the guest stands still; says for how many milliseconds. */
async function whileStill(name: string, runs: boolean, work: () => Promise<void>): Promise<number> {
  const since = performance.now();
  if (runs) cgroups().setFrozen(name, true);
  try {
    await work();
  } finally {
    if (runs) cgroups().setFrozen(name, false);
  }
  return runs ? performance.now() - since : 0;
}
