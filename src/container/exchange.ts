/**
 * Exchanging what a stopped container lies on: its volume becomes a layer with a new volume on it, or a new volume on
 * other layers takes its place. Each exchange is a few renames between an intent and the state that it leads to, and
 * can be taken back until then.
 */
import { BerthError } from "../base/errors.ts";
import type { Layer } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { removeDirectory } from "../storage/remove.ts";
import type { LockedContainer } from "./container.ts";
import { diskLimits } from "./disk-limits.ts";
import { goOn } from "./go-on.ts";
import { clearIntent, declareIntent, type IntentOf } from "./intent.ts";
import { knownOwners, MOST_LAYERS, newLayerId, sweepLayers } from "./layers.ts";
import { listSnapshots, saveSnapshot } from "./snapshots.ts";
import { type ContainerState, loadState, saveState } from "./store.ts";
import { discardCheckpoint, forgetRun, settleRun } from "./suspended.ts";
import { carryUserLimits } from "./user-limits.ts";

/**
 * Freezes the volume of a stopped container under a new one and hands the layers to `work`; if that fails, and nobody
 * has the new layer, all is as it was.
 */
export async function freezeVolume<T>(
  container: LockedContainer,
  work: (layers: readonly Layer[]) => Promise<T>,
): Promise<T> {
  const { name, state } = container;
  const { uuid, storage, baseUid } = state;
  if (state.layers.length >= MOST_LAYERS)
    throw new BerthError(
      "storage.failed",
      `container ${name} lies on ${state.layers.length} layers already, and no more than ${MOST_LAYERS} are allowed`,
      `a whole \`berth backup ${name}\`, restored in its place, has one volume again`,
    );
  const driver = storageDriver(storage);
  const layer = { id: newLayerId(), storage, baseUid };
  const intent: IntentOf<"freeze"> = { operation: "freeze", uuid, storage, layers: [layer] };
  declareIntent(name, intent);
  try {
    await forgetIndex({ id: uuid, storage });
    await driver.seal(uuid);
    await driver.rename(uuid, layer.id);
    await driver.create(uuid, diskLimits(container.config));
    await carryUserLimits(container, layer, { ...layer, id: uuid });
    const layers = [layer, ...state.layers];
    saveState(name, { ...state, layers });
    const result = await work(layers);
    clearIntent(name);
    return result;
  } catch (error) {
    await undoFreeze(name, intent);
    throw error;
  }
}

/**
 * Removes the overlay's own notes beside an upper directory that becomes a layer. They hold a second link to each of its
 * files, which guests would see as one, and are tied to the file system's UUID; an upper directory does without.
 */
export async function forgetIndex({ id, storage }: Pick<Layer, "id" | "storage">): Promise<void> {
  await storageDriver(storage).withVolume(id, async (dir) => await removeDirectory(`${dir}/work`));
}

/** Takes a freeze back, unless a snapshot or another container has taken to the layer: then it stands. */
export async function undoFreeze(name: string, { uuid, storage, layers }: IntentOf<"freeze">): Promise<void> {
  const state = loadState(name);
  const [layer] = layers;
  if (layer !== undefined) {
    const driver = storageDriver(storage);
    // Nobody takes to a layer before the container itself has it; and what was being put back is nobody's.
    const noted = state.layers[0]?.id === layer.id;
    const begun = !driver.exists(layer.id) || !driver.exists(uuid);
    if (!noted || begun || !isShared(name, layer)) {
      await putBack(storage, uuid, layer.id);
      if (noted) saveState(name, { ...state, layers: state.layers.slice(1) });
    }
  }
  clearIntent(name);
}

/** While `from` is there it is what the container had; a volume beside it is new and empty. */
async function putBack(storage: Layer["storage"], uuid: string, from: string): Promise<void> {
  const driver = storageDriver(storage);
  if (!driver.exists(from)) return;
  await driver.remove(uuid);
  await driver.rename(from, uuid);
}

/** Whether anybody but the container itself has the layer, or may have it. */
function isShared(name: string, { id }: Layer): boolean {
  const owners = knownOwners();
  if (owners === undefined) return true;
  return [...(owners.get(id) ?? [])].some((owner) => owner !== name && owner !== `${name} (freeze)`);
}

/**
 * Takes back freezes that nobody needs any more, while nothing was written since: the stack of a container whose
 * snapshots come and go does not grow. For a stopped container, whose volume is `empty`.
 */
export async function unfreezeUnused(
  container: LockedContainer,
  isEmpty: () => Promise<boolean>,
): Promise<ContainerState> {
  const { name } = container;
  let { state } = container;
  for (let layer = state.layers[0]; layer !== undefined; layer = state.layers[0]) {
    const own = layer.storage === state.storage && layer.baseUid === state.baseUid;
    if (!own || isShared(name, layer) || !hasSameLimits(state, layer) || !(await isEmpty())) break;
    const intent = {
      operation: "freeze",
      uuid: state.uuid,
      storage: state.storage,
      layers: [layer],
    } as const;
    declareIntent(name, intent);
    await undoFreeze(name, intent);
    state = loadState(name);
  }
  return state;
}

/** Limits may have changed since the freeze: with the old volume the old ones would come back. */
function hasSameLimits({ uuid, storage }: ContainerState, { id }: Layer): boolean {
  const [now, then] = [storageDriver(storage).usage(uuid), storageDriver(storage).usage(id)];
  return now.bytes === then.bytes && now.inodes === then.inodes;
}

/**
 * Puts a new, empty volume on other layers in the place of a stopped container's; the old one goes at the end. `revive` brings
 * processes back on it: if they do not come, the old volume stays.
 */
export async function replaceVolume(
  container: LockedContainer,
  layers: readonly Layer[],
  revive?: (state: ContainerState) => Promise<void>,
): Promise<ContainerState> {
  const { name, state } = container;
  const { uuid, storage, baseUid } = state;
  const revives = revive !== undefined;
  const same = areSame(state.layers, layers);
  const intent: IntentOf<"replace"> = {
    ...{ operation: "replace", uuid, storage, layers, old: newLayerId(), revives, same },
  };
  const driver = storageDriver(storage);
  // What an earlier run left must not be taken for the one that comes.
  if (revives) forgetRun(name);
  declareIntent(name, intent);
  try {
    await driver.rename(uuid, intent.old);
    await driver.create(uuid, diskLimits(container.config));
    await carryUserLimits(container, { id: intent.old, storage, baseUid }, { id: uuid, storage, baseUid });
    if (revive === undefined) saveState(name, replaced(state, layers));
    else await revive(replaced(state, layers));
  } catch (error) {
    if (revives) discardCheckpoint(name);
    await settleReplace(name, { ...intent, revives: false }, false);
    throw error;
  }
  await settleReplace(name, intent, true);
  return loadState(name);
}

const areSame = (some: readonly Layer[], others: readonly Layer[]): boolean =>
  JSON.stringify(some) === JSON.stringify(others);

/** The files that tell the guest who it is may be older than its address: they are written anew. */
const replaced = (state: ContainerState, layers: readonly Layer[]): ContainerState => ({
  ...state,
  layers: [...layers],
  identity: "",
});

/**
 * Completes a replacement whose new volume is there and noted, or carries a guest; takes back any other. `succeeded` where
 * that is known: state.json does not tell when the layers are what they were.
 */
export async function settleReplace(
  name: string,
  intent: IntentOf<"replace">,
  succeeded?: boolean,
): Promise<void> {
  const { uuid, storage, layers, old } = intent;
  const runs = intent.revives === true && settleRun(name);
  if (runs) {
    saveState(name, { ...replaced(loadState(name), layers), shouldRun: true });
    await goOn(name);
  }
  const noted = areSame(loadState(name).layers, layers) && storageDriver(storage).exists(uuid);
  const done = intent.same === true ? (succeeded ?? runs) : noted;
  if (!done) await putBack(storage, uuid, old);
  clearIntent(name);
  await sweepLayers();
}

/** Completes a move that is noted in state.json; takes back any other. */
export async function settleMove(name: string, intent: IntentOf<"move">): Promise<void> {
  const { uuid, storage, to, copies } = intent;
  if (loadState(name).storage === to) {
    for (const snapshot of listSnapshots(name))
      saveSnapshot(name, { ...snapshot, layers: snapshot.layers.map((layer) => copied(layer, to, copies)) });
    await storageDriver(storage).remove(uuid);
  } else {
    await storageDriver(to).remove(uuid);
  }
  clearIntent(name);
  await sweepLayers(intent.layers);
}

/** The layer's copy on the other driver, if it has one. */
export function copied(layer: Layer, to: Layer["storage"], copies: Readonly<Record<string, string>>): Layer {
  const id = copies[layer.id];
  return id === undefined ? layer : { ...layer, id, storage: to };
}
