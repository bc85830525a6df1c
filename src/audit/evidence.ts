/** The runs that an audit rests on: the controls, each layer alone, and what would disturb a guest in one of the audit's own. */
import type { Progress } from "../base/progress.ts";
import { usesApparmor } from "../container/apparmor.ts";
import { cgroupLayout } from "../resources/layout.ts";
import { type Limits, noLimits } from "../resources/limits.ts";
import { type Attempt, attackFromHost, attackInGuest, type Facts, type Run } from "./attacker.ts";
import { auditDir, type Laboratory, type OwnGuest, startGuest, stopGuest } from "./guest.ts";
import { type Layer, layersOf, withLayers, withoutDeviceRules, withoutHierarchy } from "./layers.ts";
import { type Evidence, isReal } from "./verdict.ts";

/** Half of what the attempts of native/audit_cgroup.c try to use. */
const smallLimits: Limits = { ...noLimits, memory: 12 << 20, pids: 64 };

/** Runs the attacker; with nothing chosen it would make every attempt. */
export const attack = async (
  ids: readonly string[],
  run: (ids: readonly string[]) => Promise<Run>,
): Promise<Run> => (ids.length === 0 ? new Map() : await run(ids));

/** Says what is being done; throws when the operator has had enough. */
export function step(progress: Progress, label: string): void {
  progress.signal.throwIfAborted();
  progress.emit({ type: "step", label });
}

/** The ids of attempts that are made in any guest, or only in one of the audit's own. */
export const idsOf = (wanted: readonly Attempt[], where: "guest" | "sandbox"): readonly string[] =>
  wanted.filter(({ sandbox }) => sandbox === (where === "sandbox")).map(({ id }) => id);

/** The controls, from a guest whose layers are all left out. */
export async function controls(
  laboratory: Laboratory,
  wanted: readonly Attempt[],
  facts: Facts,
  progress: Progress,
): Promise<Pick<Evidence, "host" | "none">> {
  const guest = await startGuest(laboratory, { limits: smallLimits, change: withoutDeviceRules });
  try {
    return await controlsBeside(guest, wanted, facts, progress);
  } finally {
    await stopGuest(laboratory);
  }
}

/** The controls, each layer alone, and the attempts of the sandbox. */
export async function gather(
  laboratory: Laboratory,
  wanted: readonly Attempt[],
  facts: Facts,
  progress: Progress,
): Promise<{ readonly evidence: Evidence; readonly sandbox: Run }> {
  const layers = layersOf(laboratory.config, usesApparmor(laboratory.config));
  const guest = await startGuest(laboratory, { limits: smallLimits, change: withoutDeviceRules });
  const control = await controlsBeside(guest, wanted, facts, progress);
  const real = wanted.filter(({ id }) => isReal(id, control));
  const alone = new Map<Layer, Run>();
  for (const layer of layers) {
    if (layer === "clean start" || layer === "device rules") continue;
    step(progress, `attacking through ${layer} alone`);
    alone.set(
      layer,
      await attackThrough(
        guest,
        [layer],
        real.map(({ id }) => id),
        facts,
      ),
    );
  }
  step(progress, "using up what is shared, through all layers");
  const sandbox = await attackThrough(guest, layers, idsOf(wanted, "sandbox"), facts);
  // On v2 limits and device rules are of the same cgroup: a second guest has these without those.
  step(progress, "attacking through device rules alone");
  const ruled = await startGuest(laboratory, { limits: noLimits });
  alone.set("device rules", await attackThrough(ruled, ["device rules"], idsOf(real, "guest"), facts));
  await stopGuest(laboratory);
  return { evidence: { ...control, alone }, sandbox };
}

async function controlsBeside(
  guest: OwnGuest,
  wanted: readonly Attempt[],
  facts: Facts,
  progress: Progress,
): Promise<Pick<Evidence, "host" | "none">> {
  step(progress, "attacking from the host");
  const host = await attack(idsOf(wanted, "guest"), (ids) => attackFromHost(ids, [...facts, hostRoot()]));
  step(progress, "attacking through no layer");
  const none = await attackThrough(
    guest,
    [],
    wanted.map(({ id }) => id),
    facts,
  );
  return { host, none };
}

/** Where attempts on a disk are made when there is no guest's root to make them on. */
const hostRoot = (): string => `root=${auditDir()}`;

async function attackThrough(
  guest: OwnGuest,
  layers: readonly Layer[],
  ids: readonly string[],
  facts: Facts,
): Promise<Run> {
  const devices = cgroupLayout().v1.find(({ controllers }) => controllers.includes("devices"))?.mount;
  const runDir = guest.variant(layers.join(" ") || "none", (plan) => {
    const some = withLayers(plan, layers);
    return layers.includes("device rules") ? some : withoutHierarchy(some, devices);
  });
  const root = layers.includes("mount namespace") ? "root=/" : hostRoot();
  return await attack(ids, (some) => attackInGuest(runDir, some, [...facts, root]));
}
