/** Completing or undoing what a killed command left half way, and taking a container apart. */
import { closeSync, existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { claimant, listIfExists, syncDir, writeAtomic } from "../base/files.ts";
import { containerPaths, instance, leasesDir } from "../base/paths.ts";
import { releaseAddress } from "../network/addresses.ts";
import { cgroups } from "../resources/cgroup.ts";
import type { Layer, VolumeLimits } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { hasArrived } from "./arrivals.ts";
import { settleMove, settleReplace, undoFreeze } from "./exchange.ts";
import { goOn } from "./go-on.ts";
import { releaseIds } from "./ids.ts";
import { clearIntent, declareIntent, hasIntent, type IntentOf, type Owner, readIntent } from "./intent.ts";
import { holdsLayers, sweepLayers } from "./layers.ts";
import { type ContainerLock, dropLockFile, tryTakeLock } from "./lock.ts";
import { removeLink } from "./network.ts";
import { removeShared } from "./shared.ts";
import { releaseRuntime } from "./start.ts";
import { statusOf } from "./status.ts";
import { loadState, saveState } from "./store.ts";
import { discardCheckpoint, hasRun, settleRemembering, settleResume, settleSuspend } from "./suspended.ts";

/** Completes or undoes what was cut short, under the container's lock. Says whether the container still exists. */
export async function recover(lock: ContainerLock): Promise<boolean> {
  const { name } = lock;
  const { dir, state, config } = containerPaths(name);
  if (!existsSync(dir)) return false;
  const intent = readIntent(name);
  if (intent === undefined) {
    if (existsSync(state) || existsSync(config)) return true;
    // Nothing but an empty directory: the first step of a creation or the last of a removal.
    discardDirectory(name);
    return false;
  }
  switch (intent.operation) {
    case "resize":
      await finishResize(name, intent);
      clearIntent(name);
      return true;
    case "freeze":
      await undoFreeze(name, intent);
      return true;
    case "copy":
      if (intent.thaw && statusOf(name).state === "frozen") cgroups().setFrozen(name, false);
      if (intent.remembers === true) await settleRemembering(name);
      clearIntent(name);
      await sweepLayers(intent.layers);
      return true;
    case "replace":
      await settleReplace(name, intent);
      return true;
    case "move":
      await settleMove(name, intent);
      return true;
    case "depart":
      return await settleDeparture(lock, intent);
    case "arrive":
      return await settleArrival(name, intent);
    case "suspend":
      await settleSuspend(name);
      return true;
    case "resume":
      await settleResume(name);
      return true;
    case "create":
    case "remove":
      await discard(lock, intent);
      return false;
  }
}

async function finishResize(name: string, intent: IntentOf<"resize">): Promise<void> {
  const limits: VolumeLimits = { bytes: undefined, inodes: undefined, ...intent.limits };
  const driver = storageDriver(intent.storage);
  if (statusOf(name).state !== "stopped" && driver.refusesLive(intent.uuid, limits) !== undefined) return;
  await driver.resize(intent.uuid, limits);
  writeAtomic(containerPaths(name).config, intent.config);
}

/** What waits for another host is left alone: `berth migrate --resolve` is about that. */
async function recoverUnlessUndecided(lock: ContainerLock): Promise<boolean> {
  try {
    return await recover(lock);
  } catch (error) {
    if (error instanceof BerthError && error.code === "migrate.undecided") return true;
    throw error;
  }
}

/** Completes or undoes a migration as far as this side knows. Throws migrate.undecided where it does not. */
async function settleDeparture(lock: ContainerLock, intent: IntentOf<"depart">): Promise<boolean> {
  switch (intent.mark) {
    case "moving":
      await stay(lock.name, intent);
      return true;
    case "committing":
      throw undecided(lock.name, intent.to.host);
    case "gone":
      return await leave(lock, intent);
  }
}

/** It goes on here as if nothing had been. */
export async function stay(name: string, { layers, live }: IntentOf<"depart">): Promise<void> {
  if (live) {
    // Its images are not written to disk: those of before a boot may be torn, and know what the disk does not.
    if (statusOf(name).state === "stopped" && !hasRun(name)) discardCheckpoint(name);
    await settleSuspend(name);
  }
  if (statusOf(name).state === "frozen") cgroups().setFrozen(name, false);
  clearIntent(name);
  await sweepLayers(layers);
}

/** The other host has it: what is here goes, or is kept. Says whether it still exists here. */
export async function leave(lock: ContainerLock, intent: IntentOf<"depart">): Promise<boolean> {
  const { name } = lock;
  const { uuid, storage, layers, keep } = intent;
  releaseRuntime(name); // one that ran had no time for it while it stood still
  if (keep) {
    saveState(name, { ...loadState(name), shouldRun: false });
    clearIntent(name);
    await sweepLayers(layers);
    return true;
  }
  declareIntent(name, { operation: "remove", uuid, storage, layers });
  await discard(lock, { uuid, storage, layers });
  await removeShared(0);
  return false;
}

/** Completes an arrival that is noted as one; any other waits. */
async function settleArrival(name: string, intent: IntentOf<"arrive">): Promise<true> {
  if (!hasArrived(intent.id)) throw undecided(name, "the host that it comes from");
  await finishArrival(name, intent);
  return true;
}

/** It is this host's from now on; one that runs already has waited for that to be `heard`. */
export async function finishArrival(
  name: string,
  { live, shouldRun }: IntentOf<"arrive">,
  heard?: () => Promise<void>,
): Promise<void> {
  if (live) {
    await goOn(name, heard);
    discardCheckpoint(name);
  }
  saveState(name, { ...loadState(name), shouldRun });
  clearIntent(name);
}

const undecided = (name: string, other: string): BerthError =>
  new BerthError(
    "migrate.undecided",
    `a migration of container ${name} was cut: whether it is here or on ${other} is not known, so it stands still`,
    `\`berth migrate --resolve ${name}\` asks the other side, and says what each one holds`,
  );

/** Recovers every container whose lock is free and that was left half way: what `ls` does before it looks. */
export async function recoverIdle(names: readonly string[]): Promise<void> {
  let gone = false;
  for (const name of names.filter(hasIntent)) {
    const lock = tryTakeLock(name);
    if (lock === undefined) continue;
    try {
      if (await recoverUnlessUndecided(lock)) continue;
      dropLockFile(lock);
      gone = true;
    } finally {
      closeSync(lock.fd);
    }
  }
  if (gone) await removeShared();
}

/** Removes everything that belongs to the container. Whatever is gone already is fine, so it can be repeated. */
export async function discard(
  { name }: ContainerLock,
  { uuid, storage, layers }: Owner & { readonly layers?: readonly Layer[] },
): Promise<void> {
  cgroups().remove(name);
  await removeLink(name);
  const layered = holdsLayers(name);
  await storageDriver(storage).remove(uuid);
  releaseLeases(name, uuid);
  const { run, consoleLog, dumpLog, restoreLog } = containerPaths(name);
  rmSync(run, { recursive: true, force: true });
  for (const log of [consoleLog, `${consoleLog}.1`, dumpLog, restoreLog]) rmSync(log, { force: true });
  discardDirectory(name);
  if (layered) await sweepLayers(layers);
}

/** The intent goes last, so that a removal cut short is known as one. */
function discardDirectory(name: string): void {
  const { dir, intent } = containerPaths(name);
  for (const entry of readdirSync(dir)) {
    if (`${dir}/${entry}` !== intent) rmSync(`${dir}/${entry}`, { recursive: true, force: true });
  }
  rmSync(intent, { force: true });
  rmdirSync(dir);
  syncDir(`${instance.lib}/containers`);
}

/** Leases are named by what is leased; only an interrupted creation has not noted which it got. */
function releaseLeases(name: string, uuid: string): void {
  if (existsSync(containerPaths(name).state)) {
    const { baseUid, address } = loadState(name);
    releaseIds(baseUid, uuid);
    if (address !== null) releaseAddress(address, uuid);
    return;
  }
  for (const kind of ["uid", "ip"]) {
    const dir = `${leasesDir()}/${kind}`;
    for (const entry of listIfExists(dir)) {
      if (claimant(`${dir}/${entry}`) === uuid) rmSync(`${dir}/${entry}`, { force: true });
    }
  }
}
