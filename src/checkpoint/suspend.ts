/** Suspending: the guest's processes and connections go to disk, the guest ends. */
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { release } from "node:os";
import { BerthError } from "../base/errors.ts";
import { syncDir, writeAtomic } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import type { Progress } from "../base/progress.ts";
import { trace } from "../base/trace.ts";
import { type LockedContainer, mustRun } from "../container/container.ts";
import { appendEvent } from "../container/events.ts";
import { clearIntent, declareIntent } from "../container/intent.ts";
import { releaseRuntime } from "../container/start.ts";
import { type InitRecord, statusOf } from "../container/status.ts";
import { endOf } from "../container/stop.ts";
import { saveState } from "../container/store.ts";
import { discardCheckpoint, freeConnections } from "../container/suspended.ts";
import { cgroups } from "../resources/cgroup.ts";
import { storageDriver } from "../storage/drivers.ts";
import { syncFileSystem } from "../storage/sync.ts";
import { type CgroupNode, saveTree } from "./cgroup-tree.ts";
import { refuseUncheckable } from "./checkable.ts";
import { askCriu, criuWords } from "./criu.ts";
import { fixExecutables } from "./images.ts";
import { complaintOf, keepLog, passing } from "./log.ts";
import { makeImages } from "./place.ts";
import { type Criu, needCriu } from "./program.ts";
import { type CheckpointRecord, imagesIn, imagesLink, passName, readable, saveRecordIn } from "./record.ts";
import { dumpRequest } from "./request.ts";
import { endSessions, type Sessions } from "./sessions.ts";

export type SuspendResult = {
  /** Bytes of images. */
  readonly bytes: number;
  readonly processes: number;
  /** Milliseconds from the freeze until everything was on disk. */
  readonly frozen: number;
};

/** How long the end of a guest that CRIU has killed may take. */
const END_MS = 15_000;

/** Log level of CRIU: its errors and warnings, with what leads to them only when asked (BERTH_DEBUG). */
export const logLevel = (): number => (process.env.BERTH_DEBUG === "1" ? 4 : 1);

/** Suspends it. On any failure the guest goes on as before. */
export async function suspendContainer(
  container: LockedContainer,
  progress: Progress,
  sessions: Sessions = {},
): Promise<SuspendResult> {
  const { name, state } = container;
  await mustBeWritable(container, sessions);
  progress.emit({ type: "step", label: "writing processes and connections" });
  declareIntent(name, { operation: "suspend", uuid: state.uuid, storage: state.storage });
  // Its memory is worth nothing beside a disk that lacks what it knows to be there.
  const syncDisk = async (): Promise<void> =>
    await storageDriver(state.storage).withVolume(state.uuid, syncFileSystem);
  try {
    await syncDisk(); // most of it while it still works
    const result = await writeDown(container, {
      lasting: true,
      // Everything is written and the guest stands still: from here on it is suspended, or, if this fails, goes on.
      held: async () => {
        await syncDisk();
        saveState(name, { ...state, suspended: true });
      },
    });
    clearIntent(name);
    appendEvent("suspend", name, { bytes: result.bytes, frozen: result.frozen });
    return result;
  } catch (error) {
    if (statusOf(name).state !== "stopped") clearIntent(name);
    throw error;
  }
}

/** Throws what `writeDown` would, before anything is done: container.frozen, container.not-checkable, host.missing-feature. */
export async function mustBeWritable(container: LockedContainer, sessions: Sessions = {}): Promise<void> {
  const { name } = container;
  if (mustRun(name).state === "frozen")
    throw new BerthError("container.frozen", `container ${name} is frozen`, `berth thaw ${name}`);
  await needCriu();
  if (sessions.end === true) await endSessions(name);
  await refuseUncheckable(container);
}

export type Writing = {
  /** How many passes over its memory were made (passes.ts), so that only what was written to since is left. */
  readonly passes?: number;
  /** Whether the images are to outlast a power cut. */
  readonly lasting: boolean;
  /** Whether the caller releases what it ran in, once there is time for it. */
  readonly keepsRuntime?: boolean;
  /** Told when the guest is about to stand still and its images are written. */
  readonly begun?: () => void;
  /** Told when what comes for its connections reaches it no more. */
  readonly locked?: () => void;
  /** Runs while the guest stands still, since then (performance.now()), and all is in its images; when it throws the guest goes on. */
  readonly held: (record: CheckpointRecord, since: number) => void | Promise<void>;
};

/**
 * Writes a running guest's processes down in the directory `checkpoint`, which is none yet, and lets it go on; `held` runs while
 * it stands still. When this fails it goes on too, and the directory is gone. The caller has declared an intent that says so.
 */
export async function writeBeside(
  container: LockedContainer,
  checkpoint: string,
  held: Writing["held"],
): Promise<SuspendResult> {
  const discard = (): void => rmSync(checkpoint, { recursive: true, force: true });
  const place = { checkpoint, discard, leaveRunning: true };
  const result = await dump(
    container,
    mustRun(container.name),
    await needCriu(),
    { lasting: false, held },
    place,
  );
  return { ...result, bytes: makeLasting(checkpoint) };
}

/**
 * Writes a running guest's processes to its images and ends it. When this fails it goes on and the images are gone. The
 * caller has declared an intent that says so, and notes in the state when it counts as suspended.
 */
export async function writeDown(container: LockedContainer, writing: Writing): Promise<SuspendResult> {
  const { name } = container;
  const status = mustRun(name);
  const criu = await needCriu();
  const end = await endOf(name, status);
  try {
    const result = await dump(container, status, criu, writing, {
      checkpoint: containerPaths(name).checkpoint,
      discard: () => discardCheckpoint(name),
      leaveRunning: false,
    });
    if (!(await end.wait(END_MS)))
      throw new BerthError("checkpoint.failed", `container ${name} was written, but its init does not end`);
    if (writing.keepsRuntime !== true) releaseRuntime(name);
    // Killed is what CRIU did to it, not how it ended.
    rmSync(containerPaths(name).exit, { force: true });
    return result;
  } finally {
    end.release();
  }
}

/** How often it is tried when something of the moment is in the way, and how many milliseconds the guest has in between. */
const TRIES = 5;
const BETWEEN_MS = 100;

async function dump(
  container: LockedContainer,
  status: InitRecord,
  criu: Criu,
  writing: Writing,
  place: Place,
): Promise<SuspendResult> {
  let wasHeld = false;
  const once: Writing = {
    ...writing,
    held: async (record, since) => {
      wasHeld = true;
      await writing.held(record, since);
    },
  };
  for (let tries = 1; ; tries++) {
    try {
      // One that failed has begun to count anew what is written to: the next builds on no pass.
      return await dumpOnce(container, status, criu, tries === 1 ? once : { ...once, passes: 0 }, place);
    } catch (error) {
      const onPasses = tries === 1 && (writing.passes ?? 0) > 0;
      // One that has ended waits in the images that there are; what the caller did with them is not done twice.
      if (
        tries === TRIES ||
        wasHeld ||
        !mayPass(error, onPasses) ||
        statusOf(container.name).state === "stopped"
      )
        throw error;
      await Bun.sleep(BETWEEN_MS);
    }
  }
}

/** Whether trying anew may help: what was in the way is over a moment later, or it may be the passes that CRIU built upon. */
const mayPass = (error: unknown, onPasses: boolean): boolean =>
  error instanceof Error &&
  (passing.test(error.message) ||
    (onPasses && error instanceof BerthError && error.code === "checkpoint.failed"));

/** Where it is written, how that goes again, and whether the guest goes on. */
type Place = {
  readonly checkpoint: string;
  readonly discard: () => void;
  readonly leaveRunning: boolean;
};

async function dumpOnce(
  container: LockedContainer,
  status: InitRecord,
  criu: Criu,
  { lasting, begun, locked, held, passes = 0 }: Writing,
  { checkpoint, discard, leaveRunning }: Place,
): Promise<SuspendResult> {
  const { name, state, lock } = container;
  const images = imagesIn(checkpoint);
  const { dumpLog } = containerPaths(name);
  if (passes === 0) makeImages(checkpoint);
  const console = consoleOf(status);
  let frozenAt = 0;
  let tree: Promise<readonly CgroupNode[]> = Promise.resolve([]);
  let result: SuspendResult = { bytes: 0, processes: 0, frozen: 0 };
  const request = dumpRequest({
    images: imagesLink(checkpoint),
    pid: status.init.pid,
    console,
    logLevel: logLevel(),
    leaveRunning,
    parent: passes === 0 ? undefined : passName(passes),
  });
  const notify = async (point: string): Promise<void> => {
    trace(`criu: ${point}`);
    if (point === "pre-dump") {
      frozenAt = performance.now();
      begun?.();
    }
    if (point === "query-ext-files") {
      // The first point behind CRIU's lock of the network: nobody in the guest does anything any more.
      locked?.();
      tree = Bun.sleep(0).then(() => treeOf(name));
      tree.catch(() => {}); // told when it is needed
    }
    if (point !== "post-dump") return;
    editImages(images);
    const processes = readdirSync(images).filter((file) => /^core-\d+\.img$/.test(file)).length;
    const record: CheckpointRecord = {
      version: 1,
      dumped: statSync(`${images}/files.img.dumped`).mtimeMs,
      kernel: release(),
      criu: criu.version,
      console,
      processes,
      cgroups: await tree,
      ...(passes === 0 ? {} : { passes }),
    };
    saveRecordIn(checkpoint, record, lasting);
    const bytes = lasting ? makeLasting(checkpoint) : sizeOf(images);
    await held(record, frozenAt);
    result = { bytes, processes, frozen: Math.round(performance.now() - frozenAt) };
  };
  // Where CRIU itself was killed the guest may have ended: then it waits in its images.
  const giveUp = async (): Promise<void> => {
    const lives = statusOf(name).state !== "stopped";
    if (lives) await freeConnections(status.init.pid);
    if (leaveRunning || lives) discard();
  };
  const words = criuWords(criu, state.baseUid);
  const verdict = await askCriu(status.init.pid, words, request, lock, notify).catch(
    async (error: unknown) => {
      await giveUp();
      throw error;
    },
  );
  const log = keepLog(images, "dump.log", dumpLog);
  if (verdict.ok) return result;
  await giveUp();
  const { what, cure } = complaintOf(log, verdict.words);
  throw new BerthError(
    "checkpoint.failed",
    `container ${name} was not ${leaveRunning ? "written down" : "suspended"} and goes on: ${what}`,
    `${cure === "" ? "" : `${cure}; `}CRIU's log is ${dumpLog}`,
    new Error(verdict.words),
  );
}

function treeOf(name: string): readonly CgroupNode[] {
  const guest = cgroups().guestRoot(name);
  return guest === undefined ? [] : saveTree(guest);
}

/** The console's slave as CRIU names it, looked at where the keeper has it: the guest cannot have changed that. */
export function consoleOf({ keeper }: InitRecord): string {
  const { rdev, dev } = statSync(`/proc/${keeper.pid}/root/dev/berth/0`);
  return `tty[${rdev.toString(16)}:${dev.toString(16)}]`;
}

/** What does not depend on when it is resumed is put right now; the timers' file waits as files.img.dumped. */
function editImages(images: string): void {
  const file = `${images}/files.img`;
  const mms = readdirSync(images).filter((name) => /^mm-\d+\.img$/.test(name));
  const { mtime } = statSync(file);
  const fixed = fixExecutables(
    readFileSync(file),
    new Map(mms.map((name) => [name, readFileSync(`${images}/${name}`)])),
  );
  for (const [name, content] of fixed.mms) writeAtomic(`${images}/${name}`, content, readable);
  writeAtomic(`${images}/files.img.dumped`, fixed.files, readable);
  utimesSync(`${images}/files.img.dumped`, mtime, mtime);
}

/** Bytes of the files in it. */
export const sizeOf = (dir: string): number =>
  readdirSync(dir).reduce((bytes, name) => bytes + statSync(`${dir}/${name}`).size, 0);

/** Makes all images of a checkpoint last and gives their size. */
function makeLasting(checkpoint: string): number {
  const dir = imagesIn(checkpoint);
  let bytes = 0;
  for (const name of readdirSync(dir)) {
    const fd = openSync(`${dir}/${name}`, "r");
    fsyncSync(fd);
    closeSync(fd);
    bytes += statSync(`${dir}/${name}`).size;
  }
  syncDir(dir);
  syncDir(checkpoint);
  return bytes;
}
