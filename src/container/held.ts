/**
 * A guest without an init of its own: the namespaces, mounts, limits and confinement of a start, for what this process
 * runs in it. It goes with this process, however that ends; the container stays what it was: stopped.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { makeDirs } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { encodePlan, type Op, type PlanRecord } from "../kernel/plan.ts";
import { deviceRules } from "../launch/policy.ts";
import { cgroups } from "../resources/cgroup.ts";
import { type LockedContainer, refuseSuspended } from "./container.ts";
import { launch } from "./launcher.ts";
import { refuseMounted } from "./mounted.ts";
import { recordVolumes, resolveMounts } from "./mounts.ts";
import { reconcileNetwork } from "./network.ts";
import { launchWords, limitsOf, plans, releaseRuntime, scratchDir, startFailed } from "./start.ts";

/** Of a start's plan: its init, console, and what is said and done about the guest's end. */
const notHeld = new Set<Op>(["init", "console", "bindConsole", "reboot", "events"]);
const links = new Set<Op>(["veth", "address", "route"]);

/**
 * Runs `work` with the directory that has the guest's records, for attachTo. The guest has loopback alone unless
 * `network`. Throws container.mounted, or container.start-failed and then nothing is left.
 */
export async function withHeldGuest<T>(
  container: LockedContainer,
  options: { readonly network: boolean },
  work: (run: string) => Promise<T>,
): Promise<T> {
  const { name, config, lock } = container;
  refuseSuspended(name);
  refuseMounted(container);
  releaseRuntime(name);
  const state = options.network ? await reconcileNetwork(container) : container.state;
  const mounts = await resolveMounts(container);
  const { start, attach } = plans({ ...container, state }, mounts);
  const { held } = containerPaths(name);
  const plan = start.flatMap((record) => heldRecord(record, held, options.network));
  makeDirs(scratchDir);
  mkdirSync(held, { recursive: true, mode: 0o700 });
  try {
    cgroups().prepare(name, limitsOf(config), deviceRules, state.baseUid);
    recordVolumes(container);
    writeFileSync(`${held}/attach`, encodePlan(attach), { mode: 0o600 });
    const guest = launch([...launchWords("start", plan), "--hold"], plan, lock, {
      held: true,
      failed: startFailed(name, "start", "could not be made ready for the script"),
    });
    try {
      await guest.said;
      return await work(held);
    } finally {
      guest.letGo();
      await guest.exited;
    }
  } finally {
    releaseRuntime(name);
  }
}

function heldRecord(record: PlanRecord, rundir: string, network: boolean): readonly PlanRecord[] {
  const [op, first] = record;
  if (op === "rundir") return [["rundir", rundir]];
  if (notHeld.has(op)) return [];
  if (!network && (links.has(op) || (op === "linkUp" && first !== "lo"))) return [];
  return [record];
}
