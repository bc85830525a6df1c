/** Bringing a guest's processes back from their images, all of which are there or still on their way. */
import {
  closeSync,
  constants,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { BerthError, errnoOf } from "../base/errors.ts";
import { makeDirs, writeAtomic } from "../base/files.ts";
import { containerPaths, failedRestoreLog, instance } from "../base/paths.ts";
import { trace } from "../base/trace.ts";
import { confineByApparmor } from "../container/apparmor.ts";
import type { LockedContainer } from "../container/container.ts";
import { launch } from "../container/launcher.ts";
import { refuseMounted } from "../container/mounted.ts";
import { noMounts } from "../container/mounts.ts";
import {
  launchKeeper,
  launchWords,
  limitsOf,
  plans,
  releaseRuntime,
  scratchDir,
  startFailed,
} from "../container/start.ts";
import { hostConfig } from "../container/store.ts";
import { makeNode } from "../kernel/inode.ts";
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
import { firstImage, firstWaits } from "./place.ts";
import { type Criu, needCriu } from "./program.ts";
import { type CheckpointRecord, imagesDir, imagesLink, loadRecord, readable } from "./record.ts";
import { restoreRequest } from "./request.ts";
import { logLevel } from "./suspend.ts";

export type ResumeResult = { readonly pid: number; readonly processes: number };

/** How long it is watched before its images are given up. */
const WATCH_MS = 200;

/**
 * Brings a guest back from its images and looks for `watch` milliseconds at its health; when this fails the images are as
 * they were. Its link is down: nobody hears it until `goOn` of `container/go-on.ts`. The caller has declared an intent.
 */
export async function bringBack(container: LockedContainer, watch = WATCH_MS): Promise<ResumeResult> {
  const { name, lock } = container;
  const record = loadRecord(name);
  const criu = await mayComeBack(container);
  return await orNotBack(container, async () => {
    const plan = makeReady(container, record, criu);
    makeWhole(container, record);
    const pid = await launchKeeper(name, "restore", [...plan, ...wrote(name, record)], lock);
    return await seeIn(container, record, pid, watch);
  });
}

export type Expected = AsyncDisposable & {
  /** All images and their record are there, the first one aside (place.ts): as `bringBack`. */
  readonly goOn: (watch: number) => Promise<ResumeResult>;
};

/**
 * Has everything that a restore needs ready before the images are there: CRIU runs and waits for the first, which is a pipe
 * until then. Of their record only the console is known. Disposed of before `goOn`, all of it is gone.
 */
export async function expectImages(
  container: LockedContainer,
  record: Pick<CheckpointRecord, "console">,
): Promise<Expected> {
  const { name, lock } = container;
  const images = imagesDir(name);
  const criu = await mayComeBack(container);
  const plan = await orNotBack(container, async () => makeReady(container, record, criu));
  makeNode(Buffer.from(`${images}/${firstImage}`), "fifo", 0, 0);
  const restoring = launch([...launchWords("restore", plan), "--await"], plan, lock, {
    held: true,
    failed: startFailed(name, "restore"),
  });
  restoring.said.catch(() => {}); // `goOn` throws it
  let isDone = false;
  return {
    goOn: async (watch) =>
      await orNotBack(container, async () => {
        const record = loadRecord(name);
        makeWhole(container, record);
        writeFileSync(`${containerPaths(name).run}/rest`, encodePlan(wrote(name, record)), { mode: 0o600 });
        trace("cgroups and images made ready");
        restoring.tell("y");
        const [[pid]] = await Promise.all([restoring.said, pour(images, restoring.exited)]);
        isDone = true;
        restoring.unref();
        rmSync(`${containerPaths(name).run}/rest`);
        renameSync(`${images}/${firstWaits}`, `${images}/${firstImage}`);
        return await seeIn(container, record, Number(pid), watch);
      }),
    [Symbol.asyncDispose]: async () => {
      restoring.letGo();
      if (isDone) return;
      await restoring.exited;
      releaseRuntime(name);
    },
  };
}

const OPEN_MS = 2;

/** Gives the first image to CRIU, once it has opened the pipe; gives up when `over`. */
async function pour(images: string, over: Promise<unknown>): Promise<void> {
  let isOver = false;
  void over.then(() => {
    isOver = true;
  });
  for (; !isOver; await Bun.sleep(OPEN_MS))
    try {
      // Without a reader this fails at once.
      const pipe = openSync(`${images}/${firstImage}`, constants.O_WRONLY | constants.O_NONBLOCK);
      try {
        const content = readFileSync(`${images}/${firstWaits}`);
        // It is some dozen bytes; a pipe takes 64 KiB at once.
        if (writeSync(pipe, content) < content.length)
          throw new BerthError("checkpoint.failed", `${firstImage} is longer than any that CRIU writes`);
        return;
      } finally {
        closeSync(pipe);
      }
    } catch (error) {
      if (errnoOf(error) !== "ENXIO") throw error;
    }
}

async function mayComeBack(container: LockedContainer): Promise<Criu> {
  const criu = await needCriu();
  refuseMounted(container);
  if (container.config.network.mode !== "none") await ensureBridge(subnetOf(hostConfig()));
  return criu;
}

/** Makes what does not depend on the images; gives the plan as far as it is known. */
function makeReady(
  container: LockedContainer,
  record: Pick<CheckpointRecord, "console" | "disconnected">,
  criu: Criu,
): Plan {
  const { name, config, state } = container;
  const { run, attach } = containerPaths(name);
  releaseRuntime(name);
  rmSync(`${imagesDir(name)}/restore.log`, { force: true });
  mkdirSync(run, { recursive: true, mode: 0o700 });
  makeDirs(instance.log, scratchDir);
  const made = plans(container, noMounts);
  cgroups().prepare(name, limitsOf(config), deviceRules, state.baseUid);
  const guest = cgroups().guestRoot(name);
  if (guest !== undefined) makeCgroup(criuCgroup(guest));
  confineByApparmor(name, config, state.uuid);
  writeFileSync(attach, encodePlan(made.attach), { mode: 0o600 });
  trace("all but the images made ready");
  const request = restoreRequest({
    images: imagesLink(containerPaths(name).checkpoint),
    root: scratchDir,
    console: record.console,
    logLevel: logLevel(),
    disconnected: record.disconnected ?? false,
  });
  return [
    ...withoutBridge(made.start),
    ["criu", ...criuWords(criu, state.baseUid)],
    ["criuRequest", request],
    ...(guest === undefined ? [] : [["criuCgroup", criuCgroup(guest)] as const]),
  ];
}

/** What the images say of cgroups and timers. Directories and owners before, values when the guest is in it: a v2 cgroup with controllers on takes no process. */
function makeWhole({ name }: LockedContainer, record: CheckpointRecord): void {
  const images = imagesDir(name);
  const guest = cgroups().guestRoot(name);
  if (guest !== undefined) makeTree(guest, record.cgroups);
  const timers = fixTimers(readFileSync(`${images}/files.img.dumped`), record.dumped, Date.now());
  writeAtomic(`${images}/files.img`, timers, readable);
}

function wrote(name: string, record: CheckpointRecord): Plan {
  const guest = cgroups().guestRoot(name);
  return guest === undefined ? [] : treeRecords(guest, record.cgroups);
}

/** Beside the guest's: what CRIU was doing when somebody killed it can be ended with the container's cgroups. */
const criuCgroup = (guest: string): string => guest.replace(/guest$/, "criu");

/** Its processes are back: the last of its cgroups, and a look whether they go on. */
async function seeIn(
  container: LockedContainer,
  record: CheckpointRecord,
  pid: number,
  watch: number,
): Promise<ResumeResult> {
  const { name } = container;
  const guest = cgroups().guestRoot(name);
  trace("its processes are back");
  if (guest !== undefined) ownTree(guest, record.cgroups);
  await checkHealth(container, pid, watch);
  trace("it is in good health");
  keepLog(imagesDir(name), "restore.log", containerPaths(name).restoreLog);
  return { pid, processes: record.processes };
}

/** The work's result; when it fails nothing of the guest is left but its images. */
async function orNotBack<T>({ name }: LockedContainer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const log = keepLog(imagesDir(name), "restore.log", containerPaths(name).restoreLog);
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
