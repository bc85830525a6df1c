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
import { storageDriver } from "../storage/drivers.ts";
import { type Attempt, attackInGuest, attempts, type Facts, type Run } from "./attacker.ts";
import { startCanary } from "./canary.ts";
import { attack, controls, gather, idsOf, step } from "./evidence.ts";
import { canaryDir, type Laboratory, ownFacts, withLaboratory } from "./guest.ts";
import { springTraps, trapIds } from "./traps.ts";
import { type Finding, findingOf, isReal } from "./verdict.ts";

export type AuditOptions = {
  /** Attempts to make; all when empty. */
  readonly only: readonly string[];
  /** Who the unprivileged attacker is: a user of the guest's, or a number. */
  readonly user: string;
};

/** The ids of all attempts, those laid for the host last. */
export const attemptIds = (): readonly string[] => [...attempts().map(({ id }) => id), ...trapIds];

const chosen = (only: readonly string[]): readonly Attempt[] =>
  attempts().filter(({ id }) => only.length === 0 || only.includes(id));

/** What no attempt can tell: limits that hold, but are not set. */
export const notesOf = ({ name, config, state }: Container): readonly string[] => [
  ...(config.privileged ? [`${name} is privileged: root in it is root on this host`] : []),
  ...(config.memory === undefined ? [`${name} has no memory limit: it may use up the host's`] : []),
  ...(config.pids === undefined ? [`${name} has no limit of processes: it may use up the host's`] : []),
  ...(storageDriver(state.storage).enforcesQuota
    ? []
    : [`${name} has no disk limit (storage ${state.storage}): it may use up the host's`]),
];

/** Audits a running container. Throws container.not-running, container.frozen. */
export async function auditContainer(
  { name, config }: Container,
  options: AuditOptions,
  progress: Progress,
): Promise<readonly Finding[]> {
  if (mustRun(name).state === "frozen")
    throw new BerthError("container.frozen", `container ${name} is frozen`, `berth thaw ${name}`);
  return await withLaboratory(config, async (laboratory) => [
    ...(await withCanary((facts) => auditFromInside(name, laboratory, facts, options, progress))),
    ...(await springTraps(laboratory, options.only, progress)),
  ]);
}

async function auditFromInside(
  name: string,
  laboratory: Laboratory,
  facts: Facts,
  { only, user }: AuditOptions,
  progress: Progress,
): Promise<readonly Finding[]> {
  const wanted = chosen(only);
  if (wanted.length === 0) return [];
  const { run } = containerPaths(name);
  const inGuest = idsOf(wanted, "guest");
  const attackAs = (who: string): Promise<Run> =>
    attack(inGuest, (ids) => attackInGuest(run, ids, [...facts, "root=/"], who));
  step(progress, `attacking from ${name} as its root`);
  const asRoot = await attackAs("0");
  step(progress, `attacking from ${name} as user ${user}`);
  const asUser = await attackAs(user);
  const { evidence, sandbox } = await gather(laboratory, wanted, facts, progress);
  return wanted.map((attempt) =>
    attempt.sandbox
      ? findingOf(attempt, evidence, sandbox, undefined)
      : findingOf(attempt, evidence, asRoot, asUser),
  );
}

/** The same attempts from the host: what is real here. `root` says "through" or "absent". */
export async function auditHost(only: readonly string[], progress: Progress): Promise<readonly Finding[]> {
  const config = parseContainerConfig("template: none", "the audit's own guest").value;
  return await withLaboratory(config, (laboratory) =>
    withCanary(async (facts) => {
      const wanted = chosen(only);
      const control = { ...(await controls(laboratory, wanted, facts, progress)), alone: new Map() };
      return wanted.map((attempt) => {
        const run = control.none.get(attempt.id)?.outcome === "through" ? control.none : control.host;
        return findingOf(attempt, control, isReal(attempt.id, control) ? run : control.none, undefined);
      });
    }),
  );
}

async function withCanary<T>(work: (facts: Facts) => Promise<T>): Promise<T> {
  const canary = await startCanary(canaryDir());
  try {
    return await work([...canary.facts, ...ownFacts()]);
  } finally {
    await canary.end();
  }
}
