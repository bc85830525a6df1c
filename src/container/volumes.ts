/** Which volumes containers have: what a pool is checked against. */
import type { DriverName } from "../config/storage-drivers.ts";
import { hasIntent } from "./intent.ts";
import { layerOwners } from "./layers.ts";
import { containerNames } from "./name.ts";
import { recoverIdle } from "./recover.ts";
import { loadState } from "./store.ts";

export type Owners = {
  /** Container by volume. */
  readonly volumes: ReadonlyMap<string, string>;
  /** Containers that another command is making, removing or resizing just now. */
  readonly underWay: readonly string[];
};

/** The owners of a driver's volumes. What was cut short is recovered first. */
export async function volumeOwners(driver: DriverName): Promise<Owners> {
  await recoverIdle(containerNames());
  const names = containerNames();
  const underWay = names.filter(hasIntent);
  const volumes = names
    .filter((name) => !hasIntent(name))
    .map((name) => ({ name, state: loadState(name) }))
    .filter(({ state }) => state.storage === driver)
    .map(({ name, state }) => [state.uuid, name] as const);
  const layers = [...layerOwners(driver)].map(([id, owners]) => [id, [...owners].join(", ")] as const);
  return { volumes: new Map([...volumes, ...layers]), underWay };
}
