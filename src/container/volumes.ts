/** Which volumes containers have, and which have names of their own: what a pool is checked against. */
import type { DriverName } from "../config/storage-drivers.ts";
import { listVolumes } from "../storage/volumes.ts";
import { hasIntent } from "./intent.ts";
import { layerOwners } from "./layers.ts";
import { containerNames } from "./name.ts";
import { recoverIdle } from "./recover.ts";
import { loadState } from "./store.ts";

export type Owners = {
  /** Container, or "volume NAME", by the volume's id. */
  readonly volumes: ReadonlyMap<string, string>;
  /** Containers that another command is making, removing or resizing just now. */
  readonly underWay: readonly string[];
};

/** The owners of a driver's volumes. What was cut short is recovered first. */
export async function volumeOwners(driver: DriverName): Promise<Owners> {
  await recoverIdle(containerNames());
  const names = containerNames();
  const underWay = names.filter(hasIntent);
  const named = (await listVolumes()).filter((volume) => volume.storage === driver);
  const volumes = names
    .filter((name) => !hasIntent(name))
    .map((name) => ({ name, state: loadState(name) }))
    .filter(({ state }) => state.storage === driver)
    .map(({ name, state }) => [state.uuid, name] as const);
  const layers = [...layerOwners(driver)].map(([id, owners]) => [id, [...owners].join(", ")] as const);
  return {
    volumes: new Map([
      ...volumes,
      ...layers,
      ...named.map(({ id, name }) => [id, `volume ${name}`] as const),
    ]),
    underWay: [
      ...underWay,
      ...named.filter(({ intent }) => intent !== undefined).map(({ name }) => `volume ${name}`),
    ],
  };
}
