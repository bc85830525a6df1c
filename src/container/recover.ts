/** Completing or undoing what a killed command left half way, and taking a container apart. */
import { closeSync, existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { claimant, listIfExists, syncDir, writeAtomic } from "../base/files.ts";
import { containerPaths, instance, leasesDir } from "../base/paths.ts";
import { releaseAddress } from "../network/addresses.ts";
import { cgroups } from "../resources/cgroup.ts";
import type { Layer, VolumeLimits } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { settleMove, settleReplace, undoFreeze } from "./exchange.ts";
import { releaseIds } from "./ids.ts";
import { clearIntent, hasIntent, type IntentOf, type Owner, readIntent } from "./intent.ts";
import { holdsLayers, sweepLayers } from "./layers.ts";
import { type ContainerLock, dropLockFile, tryTakeLock } from "./lock.ts";
import { statusOf } from "./status.ts";
import { loadState } from "./store.ts";
import { settleResume, settleSuspend } from "./suspended.ts";

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
      clearIntent(name);
      await sweepLayers(intent.layers);
      return true;
    case "replace":
      await settleReplace(name, intent);
      return true;
    case "move":
      await settleMove(name, intent);
      return true;
    case "suspend":
      await settleSuspend(name);
      return true;
    case "resume":
      settleResume(name);
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

/** Recovers every container whose lock is free and that was left half way: what `ls` does before it looks. */
export async function recoverIdle(names: readonly string[]): Promise<void> {
  for (const name of names.filter(hasIntent)) {
    const lock = tryTakeLock(name);
    if (lock === undefined) continue;
    try {
      if (!(await recover(lock))) dropLockFile(lock);
    } finally {
      closeSync(lock.fd);
    }
  }
}

/** Removes everything that belongs to the container. Whatever is gone already is fine, so it can be repeated. */
export async function discard(
  { name }: ContainerLock,
  { uuid, storage, layers }: Owner & { readonly layers?: readonly Layer[] },
): Promise<void> {
  cgroups().remove(name);
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
