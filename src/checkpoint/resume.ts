/** Resuming: a suspended guest goes on where it was. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { makeDirs, writeAtomic } from "../base/files.ts";
import { containerPaths, failedRestoreLog, instance } from "../base/paths.ts";
import type { Progress } from "../base/progress.ts";
import { trace } from "../base/trace.ts";
import { confineByApparmor } from "../container/apparmor.ts";
import type { LockedContainer } from "../container/container.ts";
import { appendEvent } from "../container/events.ts";
import { goOn } from "../container/go-on.ts";
import { clearIntent, declareIntent } from "../container/intent.ts";
import { refuseMounted } from "../container/mounted.ts";
import { noMounts } from "../container/mounts.ts";
import { launchKeeper, limitsOf, plans, releaseRuntime, scratchDir } from "../container/start.ts";
import { hostConfig, saveState } from "../container/store.ts";
import { discardCheckpoint, forgetRun } from "../container/suspended.ts";
import { encodePlan, type Plan } from "../kernel/plan.ts";
import { deviceRules } from "../launch/policy.ts";
import { ensureBridge, subnetOf } from "../network/bridge.ts";
import { withoutBridge } from "../network/records.ts";
import { cgroups } from "../resources/cgroup.ts";
import { makeCgroup } from "../resources/tree.ts";
import { makeTree, ownTree, treeRecords } from "./cgroup-tree.ts";
import { criuWords } from "./criu.ts";
import { checkHealth } from "./health.ts";
import { fixTimers } from "./images.ts";
import { complaintOf, keepLog } from "./log.ts";
import { type Criu, needCriu } from "./program.ts";
import { type CheckpointRecord, imagesDir, imagesLink, loadRecord, readable } from "./record.ts";
import { restoreRequest } from "./request.ts";
import { logLevel } from "./suspend.ts";

export type ResumeResult = { readonly pid: number; readonly processes: number };

/** How long it is watched before its images are given up. */
const WATCH_MS = 200;

/** Resumes it. On a failure it stays suspended; throws container.not-suspended, checkpoint.failed. */
export async function resumeContainer(container: LockedContainer, progress: Progress): Promise<ResumeResult> {
  const { name, state } = container;
  if (!state.suspended)
    throw new BerthError(
      "container.not-suspended",
      `container ${name} is not suspended`,
      `berth start ${name}, if it is stopped`,
    );
  progress.emit({ type: "step", label: "bringing processes and connections back" });
  // What an earlier run left must not be taken for this one.
  forgetRun(name);
  declareIntent(name, { operation: "resume", uuid: state.uuid, storage: state.storage });
  let isUnsettled = false;
  try {
    // Unheard at first: what a client sends before its socket is back would be answered by a reset.
    const result = await bringBack(container).catch((error: unknown) => {
      throw hinting(error, `it stays suspended; \`berth start --fresh ${name}\` gives up what it was doing`);
    });
    isUnsettled = true;
    saveState(name, { ...state, suspended: false, shouldRun: true });
    discardCheckpoint(name);
    await goOn(name);
    isUnsettled = false;
    appendEvent("resume", name, { pid: result.pid });
    return result;
  } finally {
    // It goes on, and nothing says so yet: the next command settles that.
    if (!isUnsettled) clearIntent(name);
  }
}

/** The same error with more of what can be done. */
export const hinting = (error: unknown, hint: string): unknown =>
  error instanceof BerthError
    ? new BerthError(
        error.code,
        error.message,
        [error.hint, hint].filter((one) => one !== "").join("; "),
        error.cause,
      )
    : error;

/**
 * Brings a guest back from its images and looks for `watch` milliseconds at its health; when this fails the images are as
 * they were. Its link is down: nobody hears it until `goOn`. The caller has declared an intent.
 */
export async function bringBack(container: LockedContainer, watch = WATCH_MS): Promise<ResumeResult> {
  const { name, config } = container;
  const record = loadRecord(name);
  const criu = await needCriu();
  refuseMounted(container);
  if (config.network.mode !== "none") await ensureBridge(subnetOf(hostConfig()));
  releaseRuntime(name);
  trace("ready to bring it back");
  const pid = await restore(container, record, criu, watch);
  return { pid, processes: record.processes };
}

async function restore(
  container: LockedContainer,
  record: CheckpointRecord,
  criu: Criu,
  watch: number,
): Promise<number> {
  const { name, config, state, lock } = container;
  const { run, attach, restoreLog } = containerPaths(name);
  const images = imagesDir(name);
  rmSync(`${images}/restore.log`, { force: true });
  mkdirSync(run, { recursive: true, mode: 0o700 });
  makeDirs(instance.log, scratchDir);
  const made = plans(container, noMounts);
  try {
    makeCgroups(container, record);
    confineByApparmor(name, config, state.uuid);
    writeFileSync(attach, encodePlan(made.attach), { mode: 0o600 });
    const timers = fixTimers(readFileSync(`${images}/files.img.dumped`), record.dumped, Date.now());
    writeAtomic(`${images}/files.img`, timers, readable);
    const start = withoutBridge(made.start);
    trace("cgroups and images made ready");
    const pid = await launchKeeper(name, "restore", restorePlan(container, start, record, criu), lock);
    const guest = cgroups().guestRoot(name);
    trace("its processes are back");
    if (guest !== undefined) ownTree(guest, record.cgroups);
    trace("cgroups owned");
    await checkHealth(container, pid, watch);
    trace("it is in good health");
    keepLog(images, "restore.log", restoreLog);
    return pid;
  } catch (error) {
    const log = keepLog(images, "restore.log", restoreLog);
    cgroups().kill(name);
    releaseRuntime(name);
    throw notBack(name, log, error);
  }
}

/** CRIU's own words say most. Where it had none to say, what failed around it does: berth-launch, or the look at its health. */
function notBack(name: string, log: string, error: unknown): BerthError {
  const words = error instanceof Error ? error.message : String(error);
  const { what, cure } = complaintOf(log, words.replace(`container ${name} did not come back: `, ""));
  if (log !== "") copyFileSync(containerPaths(name).restoreLog, failedRestoreLog(name));
  const hints = [
    ...(cure === "" ? [] : [cure]),
    ...(log === "" ? [] : [`CRIU's log is ${failedRestoreLog(name)}`]),
  ];
  return new BerthError(
    "checkpoint.failed",
    `container ${name} did not come back: ${what}`,
    hints.join("; "),
    error,
  );
}

/** Directories and owners before, values when the guest is in it: a v2 cgroup with controllers on takes no process. */
function makeCgroups({ name, config, state }: LockedContainer, record: CheckpointRecord): void {
  cgroups().prepare(name, limitsOf(config), deviceRules, state.baseUid);
  const guest = cgroups().guestRoot(name);
  if (guest === undefined) return;
  makeTree(guest, record.cgroups);
  makeCgroup(criuCgroup(guest));
}

/** Beside the guest's: what CRIU was doing when somebody killed it can be ended with the container's cgroups. */
const criuCgroup = (guest: string): string => guest.replace(/guest$/, "criu");

function restorePlan(
  { name, state }: LockedContainer,
  start: Plan,
  record: CheckpointRecord,
  criu: Criu,
): Plan {
  const guest = cgroups().guestRoot(name);
  const request = restoreRequest({
    images: imagesLink(containerPaths(name).checkpoint),
    root: scratchDir,
    console: record.console,
    logLevel: logLevel(),
    disconnected: record.disconnected ?? false,
  });
  return [
    ...start,
    ["criu", ...criuWords(criu, state.baseUid)],
    ["criuRequest", request],
    ...(guest === undefined
      ? []
      : [["criuCgroup", criuCgroup(guest)] as const, ...treeRecords(guest, record.cgroups)]),
  ];
}
