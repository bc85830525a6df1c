/**
 * The audit: what would hurt the host or a neighbour is tried, as a guest's root and as a user, and held against a control that
 * shows it to be real. It changes nothing in the guest and trusts nothing of it but its answers: a guest that wants to deceive
 * its auditor can, so audit before you give one away.
 */
import { BerthError } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";
import type { Progress } from "../base/progress.ts";
import { parseContainerConfig } from "../config/parse.ts";
import { type Container, mustRun } from "../container/container.ts";
import { cgroupLayout } from "../resources/layout.ts";
import type { Limits } from "../resources/limits.ts";
import { type Attempt, attackFromHost, attackInGuest, attempts, type Facts, type Run } from "./attacker.ts";
import { startCanary } from "./canary.ts";
import {
  auditDir,
  canaryDir,
  type Laboratory,
  type OwnGuest,
  startGuest,
  stopGuest,
  withLaboratory,
} from "./guest.ts";
import { type Layer, layersOf, withLayers, withoutDeviceRules, withoutHierarchy } from "./layers.ts";
import { springTraps, trapIds } from "./traps.ts";
import { type Evidence, type Finding, findingOf, isReal } from "./verdict.ts";

export type AuditOptions = {
  /** Attempts to make; all when empty. */
  readonly only: readonly string[];
  /** Who the unprivileged attacker is: a user of the guest's, or a number. */
  readonly user: string;
};

const noLimits: Limits = {
  memory: undefined,
  swap: undefined,
  cpus: undefined,
  cpuWeight: undefined,
  pids: undefined,
};

/** Half of what the attempts of audit_cgroup.c try to use. */
const smallLimits: Limits = { ...noLimits, memory: 12 << 20, pids: 64 };

/** The ids of all attempts, those laid for the host last. */
export const attemptIds = (): readonly string[] => [...attempts().map(({ id }) => id), ...trapIds];

function chosen(only: readonly string[]): readonly Attempt[] {
  return attempts().filter(({ id }) => only.length === 0 || only.includes(id));
}

/** Audits a running container. Throws container.not-running, container.frozen. */
export async function auditContainer(
  { name, config }: Container,
  options: AuditOptions,
  progress: Progress,
): Promise<readonly Finding[]> {
  if (mustRun(name).state === "frozen")
    throw new BerthError("container.frozen", `container ${name} is frozen`, `berth thaw ${name}`);
  return await withLaboratory(config, async (laboratory) => {
    const wanted = chosen(options.only);
    const canary = await startCanary(canaryDir());
    try {
      const inGuest = wanted.filter(({ sandbox }) => !sandbox).map(({ id }) => id);
      const { run } = containerPaths(name);
      const facts = [...canary.facts, "root=/"];
      step(progress, `attacking from ${name} as its root`);
      const asRoot = await attack(inGuest, (ids) => attackInGuest(run, ids, facts));
      step(progress, `attacking from ${name} as user ${options.user}`);
      const asUser = await attack(inGuest, (ids) => attackInGuest(run, ids, facts, options.user));
      const { evidence, sandbox } = await gather(laboratory, wanted, canary.facts, progress);
      return [
        ...wanted.map((attempt) =>
          findingOf(
            attempt,
            evidence,
            attempt.sandbox ? sandbox : asRoot,
            attempt.sandbox ? undefined : asUser,
          ),
        ),
        ...(await springTraps(laboratory, options.only, progress)),
      ];
    } finally {
      await canary.end();
    }
  });
}

/** The same attempts from the host: what is real here. `root` says "through" or "absent". */
export async function auditHost(only: readonly string[], progress: Progress): Promise<readonly Finding[]> {
  const config = parseContainerConfig("template: none", "the audit's own guest").value;
  return await withLaboratory(config, async (laboratory) => {
    const wanted = chosen(only);
    const canary = await startCanary(canaryDir());
    try {
      const control = await controls(laboratory, wanted, canary.facts, progress);
      return wanted.map((attempt) => {
        const evidence = { ...control, alone: new Map() };
        const run =
          isReal(attempt.id, control) && control.none.get(attempt.id)?.outcome !== "through"
            ? control.host
            : control.none;
        return { ...findingOf(attempt, evidence, run, undefined), layers: [] };
      });
    } finally {
      await canary.end();
    }
  });
}

/** Nothing chosen is nothing to do: the attacker would take it for all. */
const attack = async (ids: readonly string[], run: (ids: readonly string[]) => Promise<Run>): Promise<Run> =>
  ids.length === 0 ? new Map() : await run(ids);

const step = (progress: Progress, label: string): void => {
  progress.signal.throwIfAborted();
  progress.emit({ type: "step", label });
};

const hostRoot = (): string => `root=${auditDir()}`;

type Gathered = { readonly evidence: Evidence; readonly sandbox: Run };

/** Runs the control and each layer alone. */
async function gather(
  laboratory: Laboratory,
  wanted: readonly Attempt[],
  facts: Facts,
  progress: Progress,
): Promise<Gathered> {
  const limited = await startGuest(laboratory, { limits: smallLimits, change: withoutDeviceRules });
  const control = await controlsIn(limited, wanted, facts, progress);
  const real = wanted.map(({ id }) => id).filter((id) => isReal(id, control));
  const layers = layersOf(laboratory.config);
  const alone = new Map<Layer, Run>();
  for (const layer of layers) {
    if (layer === "clean start" || layer === "device rules") continue;
    step(progress, `attacking through ${layer} alone`);
    alone.set(layer, await attackThrough(limited, [layer], real, facts));
  }
  step(progress, "attacking through all layers");
  const sandboxed = wanted.filter(({ sandbox }) => sandbox).map(({ id }) => id);
  const sandbox = await attackThrough(limited, layers, sandboxed, facts);
  step(progress, "attacking through device rules alone");
  const ruled = await startGuest(laboratory, { limits: noLimits });
  alone.set("device rules", await attackThrough(ruled, ["device rules"], real, facts));
  await stopGuest(laboratory);
  return { evidence: { ...control, alone: inOrder(alone, layers) }, sandbox };
}

const inOrder = (runs: ReadonlyMap<Layer, Run>, layers: readonly Layer[]): ReadonlyMap<Layer, Run> =>
  new Map(
    layers.flatMap((layer) => {
      const run = runs.get(layer);
      return run === undefined ? [] : [[layer, run] as const];
    }),
  );

async function controls(
  laboratory: Laboratory,
  wanted: readonly Attempt[],
  facts: Facts,
  progress: Progress,
): Promise<Pick<Evidence, "host" | "none">> {
  const guest = await startGuest(laboratory, { limits: noLimits, change: withoutDeviceRules });
  try {
    return await controlsIn(guest, wanted, facts, progress);
  } finally {
    await stopGuest(laboratory);
  }
}

async function controlsIn(
  guest: OwnGuest,
  wanted: readonly Attempt[],
  facts: Facts,
  progress: Progress,
): Promise<Pick<Evidence, "host" | "none">> {
  step(progress, "attacking from the host");
  const onHost = wanted.filter(({ sandbox }) => !sandbox).map(({ id }) => id);
  const host = await attack(onHost, (ids) => attackFromHost(ids, [...facts, hostRoot()]));
  step(progress, "attacking through no layer");
  const none = await attackThrough(
    guest,
    [],
    wanted.map(({ id }) => id),
    facts,
  );
  return { host, none };
}

async function attackThrough(
  guest: OwnGuest,
  layers: readonly Layer[],
  ids: readonly string[],
  facts: Facts,
): Promise<Run> {
  const devices = cgroupLayout().v1.find(({ controllers }) => controllers.includes("devices"))?.mount;
  const runDir = guest.variant(String(layers.length === 1 ? layers[0] : layers.length), (plan) => {
    const some = withLayers(plan, layers);
    return layers.includes("device rules") ? some : withoutHierarchy(some, devices);
  });
  const root = layers.includes("mount namespace") ? "root=/" : hostRoot();
  return await attack(ids, (some) => attackInGuest(runDir, some, [...facts, root]));
}
