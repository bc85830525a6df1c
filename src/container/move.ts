/** Moving a stopped container to another storage driver, with its layers and snapshots. */
import { BerthError } from "../base/errors.ts";
import { orInterrupted, type Progress } from "../base/progress.ts";
import { formatSize } from "../base/units.ts";
import { openTreeCopy } from "../kernel/tree-tool.ts";
import type { DriverName, Layer, VolumeLimits } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { allocatedBytes, freeBytes } from "../storage/volume-space.ts";
import { copyUpAliasesOf } from "./aliases.ts";
import { type LockedContainer, mustBeIdle } from "./container.ts";
import { checkUserQuota, diskLimits } from "./disk-limits.ts";
import { copied, settleMove } from "./exchange.ts";
import { declareIntent, type IntentOf } from "./intent.ts";
import { newLayerId } from "./layers.ts";
import { listSnapshots } from "./snapshots.ts";
import { loadState, saveState } from "./store.ts";
import { carryUserLimits } from "./user-limits.ts";

/** File systems count differently: what fills one may take more of another. */
const SLACK = 1.25;

/** Copies everything, then changes over; the old volume goes at the end. A failure leaves the container where it was. */
export async function moveContainer(
  container: LockedContainer,
  to: DriverName,
  progress: Progress,
): Promise<void> {
  const { name, state } = container;
  mustBeIdle(container, "its disk cannot be exchanged under it");
  if (to === state.storage)
    throw new BerthError("usage.bad-argument", `container ${name} has storage ${to} already`);
  const missing = await storageDriver(to).missing();
  if (missing !== undefined)
    throw new BerthError(
      "host.missing-feature",
      `storage driver ${to} does not work here: ${missing}`,
      "`berth check` tells what the host lacks",
    );

  await checkUserQuota(container.config, to);
  const { uuid, storage } = state;
  const layers = layersToCopy(container, to);
  needRoom(container, layers, to);
  await copyUpAliasesOf(container);
  const copies = Object.fromEntries(layers.map(({ id }) => [id, newLayerId()]));
  const intent: IntentOf<"move"> = {
    ...{ operation: "move", uuid, storage, to, copies },
    layers: layers.map((layer) => copied(layer, to, copies)),
  };
  declareIntent(name, intent);
  try {
    for (const layer of layers) await copyLayer(container, layer, copied(layer, to, copies), progress);
    const ground = state.layers.map((layer) => copied(layer, to, copies));
    await copyVolume(container, to, progress);
    const { baseUid } = state;
    await carryUserLimits(container, { id: uuid, storage, baseUid }, { id: uuid, storage: to, baseUid });
    saveState(name, { ...loadState(name), storage: to, layers: ground });
  } catch (error) {
    await settleMove(name, intent);
    throw orInterrupted(progress, `moving ${name}`, error);
  }
  await settleMove(name, intent);
}

/** Each layer of the container and its snapshots once; one that lies there already stays. */
function layersToCopy({ name, state }: LockedContainer, to: DriverName): readonly Layer[] {
  const all = [...state.layers, ...listSnapshots(name).flatMap(({ layers }) => layers)];
  return [...new Map(all.filter(({ storage }) => storage !== to).map((layer) => [layer.id, layer])).values()];
}

/** Refuses before anything is copied, as far as drivers count what is used. */
function needRoom({ name, state }: LockedContainer, layers: readonly Layer[], to: DriverName): void {
  const volumes = [{ id: state.uuid, storage: state.storage }, ...layers];
  const used = volumes.reduce(
    (sum, { id, storage }) => sum + (storageDriver(storage).usage(id).usedBytes ?? 0),
    0,
  );
  const free = freeBytes(to);
  if (used <= free) return;
  throw new BerthError(
    "host.no-space",
    `container ${name} has ${formatSize(used)} to copy, and there are ${formatSize(free)} free for storage driver ${to}`,
    `free some space there, or \`berth pool grow --driver ${to}\``,
  );
}

async function copyLayer(
  container: LockedContainer,
  from: Layer,
  to: Layer,
  progress: Progress,
): Promise<void> {
  progress.signal.throwIfAborted();
  progress.emit({ type: "step", label: `copying layer ${from.id}` });
  const target = storageDriver(to.storage);
  await target.create(to.id, await layerLimits(container, from));
  await storageDriver(from.storage).withVolume(
    from.id,
    async (source) => await target.withVolume(to.id, async (dir) => await copyTree(source, dir, progress)),
    "ro",
  );
  await target.seal(to.id);
}

/** A layer may hold more than its container may now: it was frozen under other limits. */
async function layerLimits({ config }: LockedContainer, { id, storage }: Layer): Promise<VolumeLimits> {
  const limits = diskLimits(config);
  const { bytes, inodes } = storageDriver(storage).usage(id);
  const held = bytes ?? Math.ceil((await allocatedBytes(storage, [id])) * SLACK);
  return { ...limits, bytes: atLeast(limits.bytes, held), inodes: atLeast(limits.inodes, inodes) };
}

/** An absent limit is none. */
const atLeast = (limit: number | undefined, needed: number | undefined): number | undefined =>
  limit === undefined || needed === undefined ? limit : Math.max(limit, needed);

async function copyVolume(container: LockedContainer, to: DriverName, progress: Progress): Promise<void> {
  const { name, state } = container;
  const { uuid } = state;
  progress.signal.throwIfAborted();
  progress.emit({ type: "step", label: `copying the volume of ${name}` });
  const target = storageDriver(to);
  await target.create(uuid, diskLimits(container.config));
  await storageDriver(state.storage).withVolume(
    uuid,
    async (source) => await target.withVolume(uuid, async (dir) => await copyTree(source, dir, progress)),
  );
}

async function copyTree(source: string, target: string, { signal }: Progress): Promise<void> {
  await using tree = openTreeCopy(`${source}/upper`, `${target}/upper`, { signal });
  await tree.pass();
  await tree.sync();
}
