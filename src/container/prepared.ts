/**
 * A start made ready: beside the container's settings lies all that `berth start NAME` has to look at, make and write, so
 * that the front does it without this program (native/front_start.c) as long as nothing it was made from has changed. It
 * is only a cache: where there is none, or one that no longer holds, the start is ours.
 */
import { existsSync, rmSync, statSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { readIfExists, writeAtomic } from "../base/files.ts";
import { containerPaths, instance } from "../base/paths.ts";
import { tracing } from "../base/trace.ts";
import { PARSERS, replaceFile, selinuxFile } from "../kernel/apparmor.ts";
import { binaryPath, ownCommand } from "../kernel/binaries.ts";
import { encodePlan, type Plan, type PlanRecord } from "../kernel/plan.ts";
import { bootIdFile } from "../kernel/process.ts";
import { filterSources } from "../kernel/seccomp.ts";
import { deviceRules } from "../launch/policy.ts";
import { networkChecks, subnetFile } from "../network/bridge.ts";
import { serverFiles } from "../network/records.ts";
import { cgroups } from "../resources/cgroup.ts";
import { apparmorRecords } from "./apparmor.ts";
import type { LockedContainer } from "./container.ts";
import { mountSource } from "./mounted.ts";
import { noMounts } from "./mounts.ts";
import { limitsOf, type Plans, plans, scratchDir } from "./start.ts";
import { type ContainerState, hostConfigFile, loadConfig, stateText } from "./store.ts";

/** Leaves a prepared start, or none where this one cannot be prepared: what is odd is then told by the start itself. */
export function prepareStart(container: LockedContainer): void {
  const { prepared } = containerPaths(container.name);
  try {
    const plan = isPlain(container) ? preparedPlan(container) : undefined;
    if (plan === undefined) rmSync(prepared, { force: true });
    else writeAtomic(prepared, encodePlan(plan), { sync: false });
  } catch {
    rmSync(prepared, { force: true });
  }
}

/** Mounts have sources to be looked up anew, privileged guests want another verb, and a berth that runs from its sources changes unseen. */
const isPlain = ({ config }: LockedContainer): boolean =>
  config.mounts.length === 0 && !config.privileged && !tracing && ownCommand().length === 1;

/** undefined when something it is made from changed while it was made. */
function preparedPlan(container: LockedContainer): Plan | undefined {
  const { name, config } = container;
  const [cli = ""] = ownCommand();
  const settings = stampOf(containerPaths(name).config);
  const others = sourcesOf().map(stampOf);
  // What was read from them lies before these stamps: nobody may have written since.
  if (others.some(({ changed }) => changed > performance.timeOrigin)) return undefined;
  if (JSON.stringify(loadConfig(name)) !== JSON.stringify(config)) return undefined;
  const made = plans(container, noMounts);
  return [
    ["prepared", name, cli, binaryPath("berth-launch")],
    ...[settings, ...others].map(({ record }) => record),
    ...hostChecks(),
    ...idleChecks(container),
    ...(config.network.mode === "none" ? [] : networkChecks()),
    ...stateRecords(container, made),
    ...steps(container, made.attach),
  ];
}

export type Stamp = {
  readonly record: PlanRecord;
  /** Milliseconds since 1970; 0 where there is nothing. */
  readonly changed: number;
};

/** The record by which the front knows whether a file is as it was, as native/prepared.c writes it; links are followed. */
export function stampOf(path: string): Stamp {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = statSync(path, { bigint: true });
    return {
      record: ["sameFile", path, [dev, ino, size, mtimeNs, ctimeNs].join(" ")],
      changed: Number(ctimeMs),
    };
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "ENOTDIR") throw error;
    return { record: ["sameFile", path, "-"], changed: 0 };
  }
}

/** What plans are made from beside the container's own settings and state. */
const sourcesOf = (): readonly string[] => [
  ...ownCommand(),
  binaryPath("berth-launch"),
  ...filterSources(),
  ...PARSERS,
  hostConfigFile,
  subnetFile(),
  ...serverFiles,
];

/** Kernel and modules are those of this boot; what may change within it. */
function hostChecks(): readonly PlanRecord[] {
  const texts = [bootIdFile, selinuxFile].map((file): PlanRecord => {
    const text = readIfExists(file);
    return text === undefined ? ["sameFile", file, "-"] : ["sameText", file, text.trim()];
  });
  // AppArmor is there once its file system is mounted.
  return [...texts, ["sameFile", replaceFile, existsSync(replaceFile) ? "+" : "-"]];
}

/** Nothing runs, is mounted, is under way or was left behind: all of that is for us to look into. */
function idleChecks({ name, state }: LockedContainer): readonly PlanRecord[] {
  const { intent, init, keeperSocket, adopted, volumes, apparmor, held, run } = containerPaths(name);
  const absent = [intent, init, keeperSocket, adopted, volumes, apparmor, held, `${run}/reboot.log`];
  return [
    ...absent.map((path) => ["sameFile", path, "-"] as const),
    ["notMounted", mountSource(state.uuid)],
    ...cgroups().sharedDirs.map((dir) => ["sameFile", dir, "+"] as const),
  ];
}

/** The launch from the state as it is, and from those that a start and a stop will leave. */
function stateRecords(container: LockedContainer, { start, identity }: Plans): readonly PlanRecord[] {
  const { state } = container;
  const after: ContainerState = { ...state, shouldRun: true, identity };
  const from = (before: ContainerState): PlanRecord => ["state", stateText(before), stateText(after)];
  const later = [from(after), from({ ...after, shouldRun: false })];
  if (identity === state.identity) return [...later, ["launch", encodePlan(start)]];
  const again = plans({ ...container, state: after }, noMounts).start;
  return [from(state), ["launch", encodePlan(start)], ...later, ["launch", encodePlan(again)]];
}

/** What startContainer() makes before the launch. */
function steps({ name, config, state }: LockedContainer, attach: Plan): readonly PlanRecord[] {
  const { run, attach: attachFile } = containerPaths(name);
  return [
    ["makeDir", instance.log, "755", "any"],
    ["makeDir", scratchDir, "755", "any"],
    ["makeDir", run, "700", "any"],
    ...cgroups().freshRecords(name, limitsOf(config), deviceRules, state.baseUid),
    ...apparmorRecords(name, config, state.uuid),
    ["put", attachFile, "600", encodePlan(attach)],
  ];
}
