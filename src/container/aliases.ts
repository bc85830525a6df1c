/**
 * Hard links of a layer stay together while a guest writes to one of their names: the overlay's index knows. A volume that
 * becomes a layer itself, or is copied, leaves its index behind: the other names must have followed before.
 */
import { copyUpAliases } from "../kernel/tree-tool.ts";
import type { Layer } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import type { LockedContainer } from "./container.ts";
import { statusOf } from "./status.ts";
import { withView } from "./view-root.ts";

/** Lets the other names follow. Templates hold no hard links, so that only what lies on layers can need it. */
export async function copyUpAliasesOf(container: LockedContainer): Promise<void> {
  const { name, state } = container;
  if (state.layers.length === 0) return;
  const status = statusOf(name);
  const settle = async (root: string): Promise<void> =>
    await storageDriver(state.storage).withVolume(state.uuid, async (dir) => {
      await copyUpAliases(root, `${dir}/work`);
    });
  if (status.state === "stopped") await withView(container, { readOnly: false, suspended: true }, settle);
  else await settle(`/proc/${status.init.pid}/root`);
}

/** Runs `work` on the trees of layers, in their order. */
export async function withLayerTrees<T>(
  layers: readonly Layer[],
  work: (paths: readonly string[]) => Promise<T>,
): Promise<T> {
  const [first, ...rest] = layers;
  if (first === undefined) return await work([]);
  return await storageDriver(first.storage).withVolume(
    first.id,
    async (dir) => await withLayerTrees(rest, async (paths) => await work([`${dir}/upper`, ...paths])),
    "ro",
  );
}
