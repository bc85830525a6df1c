/**
 * Layers: frozen volumes that containers, their snapshots and their clones share. Nobody counts references: who has
 * which is read from what lies on disk, under one lock.
 */
import { closeSync, existsSync, openSync } from "node:fs";
import { BerthError, errnoOf } from "../base/errors.ts";
import { listIfExists, makeDirs } from "../base/files.ts";
import { containerPaths, instance } from "../base/paths.ts";
import { warn } from "../base/warning.ts";
import { type DriverName, driverNames } from "../config/storage-drivers.ts";
import { waitForFileLock } from "../kernel/flock.ts";
import type { Layer, StorageDriver } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { allocatedBytes } from "../storage/volume-space.ts";
import { readIntent } from "./intent.ts";
import { containerNames } from "./name.ts";
import { listSnapshots } from "./snapshots.ts";
import { type ContainerState, loadState } from "./store.ts";

const PREFIX = "layer-";
const PATIENCE_MS = 60_000;

export const newLayerId = (): string => `${PREFIX}${crypto.randomUUID()}`;

export const isLayer = (id: string): boolean => id.startsWith(PREFIX);

/** An overlay takes 500 lower directories (fs/overlayfs/params.h, OVL_MAX_STACK); far below that look-ups become slow. */
export const MOST_LAYERS = 100;

/** Runs `work` while nobody else removes layers or begins to use one. */
export async function withLayersLock<T>(work: () => Promise<T>): Promise<T> {
  const dir = `${instance.lib}/containers`;
  makeDirs(dir);
  const fd = openSync(dir, "r");
  try {
    if (!(await waitForFileLock(fd, PATIENCE_MS)))
      throw new BerthError("container.busy", "another command works on layers", "wait for it, or end it");
    return await work();
  } finally {
    closeSync(fd);
  }
}

/** Who has a layer: a container ("web1"), a snapshot ("web1@monday") or an operation under way ("web1 (copy)"). */
export type LayerOwners = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * The owners of every layer, or of those of one driver. Fails when a state.json or a snapshot is damaged or lost: what it
 * has must not go. Others work meanwhile, so all is read twice: what goes from one owner to another, or to another name,
 * may be missed once.
 */
export function layerOwners(driver?: DriverName): LayerOwners {
  const owners = new Map<string, Set<string>>();
  for (let round = 0; round < 2; round += 1)
    for (const name of containerNames())
      for (const [owner, layers] of ownedBy(name))
        for (const { id, storage } of layers)
          if (driver === undefined || storage === driver)
            owners.set(id, (owners.get(id) ?? new Set()).add(owner));
  return owners;
}

/** The same; undefined, with a warning, where a damaged file hides who has which: any layer may then be somebody's. */
export function knownOwners(): LayerOwners | undefined {
  try {
    return layerOwners();
  } catch (error) {
    if (!(error instanceof BerthError && error.code === "config.unreadable")) throw error;
    warn(`layers that nobody needs are kept until this is mended: ${error.message}; ${error.hint}`);
    return undefined;
  }
}

type Owned = readonly [owner: string, layers: readonly Pick<Layer, "id" | "storage">[]];

/** The intent is read first: what it names is named by state.json or a snapshot before it is cleared. */
function ownedBy(name: string): readonly Owned[] {
  const intent = readIntent(name);
  const layers = intent !== undefined && "layers" in intent ? (intent.layers ?? []) : [];
  const old = intent?.operation === "replace" ? [{ ...intent, id: intent.old }] : [];
  return [
    ...(intent === undefined ? [] : [[`${name} (${intent.operation})`, [...layers, ...old]] as const]),
    [name, stateIfExists(name)?.layers ?? []],
    ...listSnapshots(name).map((snapshot) => [`${name}@${snapshot.name}`, snapshot.layers] as const),
  ];
}

/** Its facts; undefined while it is being made, removed or renamed. Throws config.unreadable when they are lost. */
export function stateIfExists(name: string): ContainerState | undefined {
  try {
    return loadState(name);
  } catch (error) {
    const missing = error instanceof BerthError && error.code === "container.not-found";
    if (!missing && errnoOf(error) !== "ENOENT") throw error;
  }
  const { config, state } = containerPaths(name);
  if (!existsSync(config) || readIntent(name) !== undefined || existsSync(state)) return undefined;
  throw new BerthError(
    "config.unreadable",
    `container ${name} has no state.json: berth cannot know which layers it has`,
    `restore ${state} from a backup`,
  );
}

/** Whether the container has layers, or may leave some behind: its snapshots have, or a creation under way. */
export function holdsLayers(name: string): boolean {
  const intent = readIntent(name);
  return (
    listIfExists(containerPaths(name).snapshots).length > 0 ||
    (stateIfExists(name)?.layers.length ?? 0) > 0 ||
    (intent !== undefined && "layers" in intent && (intent.layers ?? []).length > 0)
  );
}

/** How many layers a driver keeps, for snapshots and for what lies on them, and the bytes that they take. */
export async function layerSpace(
  driver: DriverName,
): Promise<{ readonly layers: number; readonly layerBytes: number }> {
  const ids = storageDriver(driver).volumes().filter(isLayer);
  return { layers: ids.length, layerBytes: await allocatedBytes(driver, ids) };
}

/** What a command that was killed still had mounted a moment ago goes with a later sweep. */
async function removeUnlessUsed(driver: StorageDriver, id: string): Promise<void> {
  try {
    await driver.remove(id);
  } catch (error) {
    if (!(error instanceof BerthError && error.code === "storage.in-use")) throw error;
  }
}

/**
 * Removes every layer that nobody has; and what there is of those in `begun`, which may be no whole volumes yet. Where
 * it is not known who has which, all stay, and a warning says why.
 */
export async function sweepLayers(begun: readonly Pick<Layer, "id" | "storage">[] = []): Promise<void> {
  await withLayersLock(async () => {
    // Before their owners are read: a layer that is made later has one that would not be seen.
    const there = driverNames.flatMap((storage) =>
      storageDriver(storage)
        .volumes()
        .filter(isLayer)
        .map((id) => ({ id, storage })),
    );
    const owners = knownOwners();
    if (owners === undefined) return;
    for (const { id, storage } of [...begun, ...there])
      if (!owners.has(id)) await removeUnlessUsed(storageDriver(storage), id);
  });
}
