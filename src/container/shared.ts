/** What all guests share on the host: bridge, NAT table and berth's own cgroups. The first start makes it. */
import { asBerthError } from "../base/errors.ts";
import { warn } from "../base/warning.ts";
import { hasUplink, removeBridge } from "../network/bridge.ts";
import { cgroups } from "../resources/cgroup.ts";
import { containerNames } from "./name.ts";

/** The keeper of a guest that has just ended needs no longer to go, once nobody holds the container's lock. */
const KEEPER_MS = 2000;
const LOOK_MS = 5;

const anyContainer = (): boolean => containerNames().length > 0;

/** Takes it away once no container is left; a bridge that others have a link on stays. A keeper that has not ended after `patience` milliseconds keeps its cgroup. */
export async function removeShared(patience = KEEPER_MS): Promise<void> {
  if (anyContainer()) return;
  try {
    await remove(patience);
  } catch (error) {
    warn(`what containers shared on the host is left behind: ${asBerthError(error).message}`);
  }
}

async function remove(patience: number): Promise<void> {
  await removeBridge(undefined, () => anyContainer() || hasUplink());
  for (const deadline = Date.now() + patience; !anyContainer() && !cgroups().removeShared(); ) {
    if (Date.now() > deadline) return;
    await Bun.sleep(LOOK_MS);
  }
}
