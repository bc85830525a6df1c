/**
 * The checkpoint of a suspended container as the rest of a container's life sees it: whether there is one, how it is
 * thrown away, and what a suspend or resume that was cut short leaves. Making and using one is the checkpoint room's.
 */
import { rmSync } from "node:fs";
import { syncDir } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { binaryPath } from "../kernel/binaries.ts";
import { runProgram } from "../kernel/run.ts";
import { cgroups } from "../resources/cgroup.ts";
import { goOn } from "./go-on.ts";
import { clearIntent } from "./intent.ts";
import { sweepMemories } from "./snapshots.ts";
import { releaseRuntime } from "./start.ts";
import { readExit, readInitRecord, statusOf } from "./status.ts";
import { loadState, saveState } from "./store.ts";

/** Forgets what the guest was doing. The state goes first: images without a word of them in it are rubbish. */
export function discardCheckpoint(name: string): void {
  const state = loadState(name);
  if (state.suspended) saveState(name, { ...state, suspended: false });
  rmSync(containerPaths(name).checkpoint, { recursive: true, force: true });
  syncDir(containerPaths(name).dir);
}

/**
 * A suspend that was cut short. Whoever holds the lock knows that no CRIU works on the guest any more (it dies with
 * the process that talks to it, which holds the lock): a guest that lives goes on as if nothing had been, one that is
 * gone waits in its checkpoint if that was complete.
 */
export async function settleSuspend(name: string): Promise<void> {
  const status = statusOf(name);
  if (status.state !== "stopped") {
    await freeConnections(status.init.pid);
    discardCheckpoint(name);
  } else {
    releaseRuntime(name);
    if (!loadState(name).suspended) discardCheckpoint(name);
  }
  clearIntent(name);
}

/** What a killed CRIU left of its hold on the guest's connections: repair mode, and tables that drop every packet of theirs. */
export async function freeConnections(pid: number): Promise<void> {
  const nft = (...args: readonly string[]) =>
    runProgram(["nsenter", `--net=/proc/${pid}/ns/net`, "--", "nft", ...args], { package: "nftables" });
  await runProgram([binaryPath("berth-launch"), "unrepair", String(pid)], { package: "berth" });
  const { stdout } = await nft("list", "tables");
  for (const [, family = "", table = ""] of stdout.matchAll(/^table (\w+) (CRIU-[\w-]+)$/gm))
    await nft("delete", "table", family, table);
}

/** Forgets how the container ran last, before something is done whose outcome is read from that. */
export function forgetRun(name: string): void {
  releaseRuntime(name);
  rmSync(containerPaths(name).exit, { force: true });
}

/**
 * A resume that was cut short. The keeper writes RUNDIR/init when CRIU has let the guest go: from then on the guest
 * has gone on and the images are of the past (RUNDIR/exit: it even has ended). Without either, what was half made goes
 * and the images stay.
 */
export async function settleResume(name: string): Promise<void> {
  if (hasRun(name)) {
    discardCheckpoint(name);
    await goOn(name);
  } else endHalfMade(name);
  clearIntent(name);
}

/** The same of processes that a snapshot kept: their images here are the snapshot's and go in any case. Says whether they went on. */
export function settleRun(name: string): boolean {
  const goes = hasRun(name);
  if (!goes) endHalfMade(name);
  discardCheckpoint(name);
  return goes;
}

/** Whether it has run since the host's boot, or since that was forgotten. */
export const hasRun = (name: string): boolean =>
  readInitRecord(name) !== undefined || readExit(name) !== undefined;

function endHalfMade(name: string): void {
  cgroups().kill(name);
  releaseRuntime(name);
}

/** A copy of processes that was cut short: the guest goes on, what was written of it goes with the intent's layers. */
export async function settleRemembering(name: string): Promise<void> {
  const status = statusOf(name);
  if (status.state !== "stopped") await freeConnections(status.init.pid);
  sweepMemories(name);
}
