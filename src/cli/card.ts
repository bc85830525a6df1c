/**
 * A container's card: all that `ls` and `info` say of it beside the kernel's figures, ready made, and where the kernel
 * tells those. By it the front shows them without this program (native/front_card.c) as long as nothing it was made from
 * has changed. It is only a cache: whoever finds none, or one that no longer holds, asks us, and we leave another.
 */
import { readFileSync, rmSync, statSync } from "node:fs";
import { writeAtomic } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { stampOf } from "../container/prepared.ts";
import { listSnapshots } from "../container/snapshots.ts";
import { type ContainerState, loadConfig, loadState, stateText } from "../container/store.ts";
import type { View } from "../container/view.ts";
import { ownCommand } from "../kernel/binaries.ts";
import { encodePlan, type Plan, type PlanRecord } from "../kernel/plan.ts";
import { cgroups } from "../resources/cgroup.ts";
import { storageDriver } from "../storage/drivers.ts";
import { type Figures, type InfoFacts, infoFields } from "./info-fields.ts";
import { diskCell, memoryCell } from "./ls-cells.ts";

/** Leaves the container's card, or none where the front is not to show it. */
export function leaveCard(name: string): void {
  const { card } = containerPaths(name);
  try {
    const plan = cardOf(name);
    if (plan === undefined) rmSync(card, { force: true });
    else writeAtomic(card, encodePlan(plan), { sync: false });
  } catch {
    rmSync(card, { force: true });
  }
}

/** Refreshes the cards of containers where all of them can have one: else `ls` is ours. */
export function leaveCards(views: readonly Pick<View, "name" | "config" | "state">[]): void {
  if (!views.every((view) => isPlain(view) && view.config.description === undefined)) return;
  for (const { name } of views) refreshCard(name);
}

/** Leaves the container's card where it is older than what it was made from. */
export function refreshCard(name: string): void {
  if (isOutdated(name)) leaveCard(name);
}

function isOutdated(name: string): boolean {
  const { card, config, state, snapshots } = containerPaths(name);
  const since = changeOf(card);
  return since === 0 || [config, state, snapshots, process.execPath].some((file) => changeOf(file) > since);
}

const changeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? 0;

/** Soft limits make events, pools have disks to be watched, and a berth that runs from its sources changes unseen. */
const isPlain = ({ config, state }: Pick<View, "config" | "state">): boolean =>
  config["disk-soft"] === undefined &&
  config["inodes-soft"] === undefined &&
  (state.storage === "image" || state.storage === "plain") &&
  ownCommand().length === 1;

/** Stands for a figure in a text: no setting holds such bytes, and no card is made of one that does. */
const mark = (figure: string): string => `\0${figure}\0`;

const marks: Figures = Object.fromEntries(
  ["pid", "uptime", "memory", "swap", "cpu", "pids"].map((figure) => [figure, mark(figure)]),
);
const diskMarks: Figures = { disk: mark("disk"), inodes: mark("inodes"), "inodes-all": mark("inodes-all") };

function cardOf(name: string): Plan | undefined {
  const paths = containerPaths(name);
  // Before they are read.
  const [cli, ...files] = [process.execPath, paths.config, paths.snapshots].map(
    (path) => stampOf(path).record,
  );
  const text = readFileSync(paths.state, "utf8");
  const [config, state] = [loadConfig(name), loadState(name)];
  if (!isPlain({ config, state }) || text !== stateText(state)) return undefined;
  const snapshots = listSnapshots(name).length;
  const facts = { name, config, state, snapshots, ...untroubled };
  const disk = storageDriver(state.storage).enforcesQuota;
  const plan: Plan = [
    ["card", name, String(cli?.[2])],
    ...files,
    ["facts", lastingText(text)],
    ...cgroups().liveRecords(name),
    ...(disk ? [["live", "disk", "", ""] as const] : []),
    ...(config.description === undefined ? [cellsOf(facts)] : []),
    ...fieldsOf(facts, disk ? { ...marks, ...diskMarks } : marks),
  ];
  return plan.every(isHarmless) ? plan : undefined;
}

/** As the front shows one: anything else is ours. */
const untroubled = { stateText: "running", mounted: [], lastEnd: undefined, oomKills: undefined, over: null };

/** What a start and a stop leave as it is, by lines, as native/front_card.c leaves them out too. */
const lastingText = (text: string): string => text.replace(/^ {2}"(shouldRun|identity)": .*\n/gm, "");

/** Printable ASCII, so that bytes are columns. */
const isHarmless = ([op, ...args]: PlanRecord): boolean =>
  (op !== "cells" && op !== "field") || args.every((arg) => /^[ -~]*$/.test(String(arg)));

function cellsOf({ config, state }: InfoFacts): PlanRecord {
  const tail = (cell: string | undefined): string => cell?.replace(mark("figure"), "") ?? "";
  const view = { config, state };
  return [
    "cells",
    stoppedWord(state),
    state.address?.split("/")[0] ?? "",
    config.template,
    memoryCell(undefined, view) ?? "",
    tail(memoryCell(mark("figure"), view)),
    diskCell(undefined, view) ?? "",
    tail(diskCell(mark("figure"), view)),
  ];
}

const stoppedWord = ({ suspended }: ContainerState): string => (suspended ? "suspended" : "stopped");

/** Texts and figures by turns; what is said where the kernel has no such figure goes first. */
function fieldsOf(facts: InfoFacts, figures: Figures): readonly PlanRecord[] {
  const without = new Map(infoFields(facts, {}));
  return infoFields(facts, figures).flatMap(([key, value]) => {
    if (value === undefined) return [];
    return [["field", key, without.get(key) ?? "", ...value.split("\0").map(figureOf)] as const];
  });
}

/** The kernel gives time on processors in one unit or the other. */
function figureOf(word: string, at: number): string {
  const isFigure = at % 2 === 1;
  return isFigure && word === "cpu" ? cpuFigure() : word;
}

const cpuFigure = (): string => (cgroups().version === "v2" ? "cpu-us" : "cpu-ns");
