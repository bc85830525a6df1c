/** A container made from another one, or from a snapshot of it: at once, with an identity of its own. */
import { readFileSync } from "node:fs";
import { containerPaths } from "../base/paths.ts";
import type { Progress } from "../base/progress.ts";
import { renameHeading } from "../config/new.ts";
import { type ConfigChanges, changeConfig } from "../config/parse.ts";
import type { Layer } from "../storage/driver.ts";
import { type LockedContainer, refuseSuspended } from "./container.ts";
import { checkNew, makeContainer, nameTaken } from "./create.ts";
import { forgetIdentity } from "./forget.ts";
import { withFrozenLayers } from "./freeze-layers.ts";
import { hasIntent } from "./intent.ts";
import { checkName, containerNames } from "./name.ts";
import { findSnapshot } from "./snapshots.ts";
import type { ContainerState } from "./store.ts";
import { carryUserLimits } from "./user-limits.ts";

export type CloneRequest = {
  readonly name: string;
  /** A snapshot of the source instead of what it has now. */
  readonly snapshot: string | undefined;
  /** Settings that the clone shall have otherwise. */
  readonly settings: ConfigChanges;
};

export type CloneResult = {
  readonly state: ContainerState;
  /** How long the source stood still, in milliseconds. */
  readonly frozen: number;
};

const volumeOf = ({ state: { uuid, storage, baseUid } }: LockedContainer): Layer => ({
  id: uuid,
  storage,
  baseUid,
});

/** What names the source and nobody else. */
const own = ["ctid", "hostname", "network.address"] as const;

/** Makes the clone, whole or not at all; the source is as it was. */
export async function cloneContainer(
  source: LockedContainer,
  request: CloneRequest,
  progress: Progress,
): Promise<CloneResult> {
  const { name, snapshot } = request;
  checkName(name);
  // Its own lock it would wait for; of another one it would first make a copy in vain.
  if (name === source.name || (containerNames().includes(name) && !hasIntent(name))) throw nameTaken(name);
  refuseSuspended(source.name);
  const file = containerPaths(source.name).config;
  const before = renameHeading(readFileSync(file, "utf8"), source.name, name);
  const without = own.map((key) => ({ path: key.split("."), value: null }));
  const { text, value } = changeConfig(before, `settings of ${name}`, [...without, ...request.settings]);
  await checkNew(name, value, source.state.storage);
  const make = async (layers: ContainerState["layers"]): Promise<ContainerState> =>
    await makeContainer(name, text, { ...source.state, layers }, async (clone) => {
      await forgetIdentity(clone);
      await carryUserLimits(clone, volumeOf(source), volumeOf(clone));
    });
  if (snapshot !== undefined)
    return { state: await make(findSnapshot(source.name, snapshot).layers), frozen: 0 };
  return await withFrozenLayers(source, progress, async ({ layers, milliseconds }) => ({
    state: await make([...layers]),
    frozen: milliseconds,
  }));
}
