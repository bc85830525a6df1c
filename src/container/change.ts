/** Changing settings: at once where the kernel allows it, else from the next start on; never half. */
import { readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { writeAtomic } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import type { Mount } from "../config/mounts.ts";
import { type ConfigChanges, changeConfig } from "../config/parse.ts";
import type { ContainerConfig } from "../config/schema.ts";
import { cgroups } from "../resources/cgroup.ts";
import { storageDriver } from "../storage/drivers.ts";
import { withVolumeLocks } from "../storage/volumes.ts";
import type { LockedContainer } from "./container.ts";
import { forgetCrossing } from "./disk.ts";
import { checkSoftLimits, diskLimits, limitWarnings } from "./disk-limits.ts";
import { clearIntent, declareIntent } from "./intent.ts";
import { refuseMounted } from "./mounted.ts";
import { checkMounts, mountWarnings, newMounts, volumesOf } from "./mounts.ts";
import { checkNumber } from "./name.ts";
import { checkAddress } from "./network.ts";
import { limitsOf, mountLive } from "./start.ts";
import { statusOf } from "./status.ts";

const hardKeys: readonly string[] = ["disk", "inodes"];
const softKeys = ["disk-soft", "inodes-soft"] as const;

/** Keys that a running guest feels at once. */
const liveKeys: ReadonlySet<string> = new Set([
  "memory",
  "swap",
  "cpus",
  "cpu-weight",
  "pids",
  "description",
  "ctid",
  "stop.signal",
  "stop.timeout",
  "snapshots.every",
  "snapshots.keep",
  ...hardKeys,
  ...softKeys,
]);

export type ChangeResult = {
  /** Keys that take effect at the next start only. */
  readonly atNextStart: readonly string[];
  /** What the operator should know of the new settings. */
  readonly warnings: readonly string[];
};

/** Applies changes, given as a person writes them. On any fault nothing has changed. */
export async function changeContainer(
  container: LockedContainer,
  changes: ConfigChanges,
): Promise<ChangeResult> {
  const file = containerPaths(container.name).config;
  const before = readFileSync(file, "utf8");
  const after = changeConfig(before, file, changes);
  refuseFixed(container, after.value);
  return await withVolumeLocks(volumesOf(after.value), () => applyText(container, before, after));
}

/** Takes a whole new text of config.yaml, as an editor left it. */
export async function replaceConfig(container: LockedContainer, text: string): Promise<ChangeResult> {
  const file = containerPaths(container.name).config;
  const after = changeConfig(text, file, []);
  refuseFixed(container, after.value);
  return await withVolumeLocks(volumesOf(after.value), () =>
    applyText(container, readFileSync(file, "utf8"), { text, value: after.value }),
  );
}

/** What is decided at creation: changing it needs another container. */
function refuseFixed({ name, config }: LockedContainer, after: ContainerConfig): void {
  for (const key of ["template", "privileged", "quota-users"] as const) {
    if (config[key] === after[key]) continue;
    throw new BerthError(
      "config.invalid",
      `${name}: ${key} cannot be changed from ${JSON.stringify(config[key])} to ${JSON.stringify(after[key])}: the files of the guest depend on it`,
      "create another container with it",
    );
  }
}

async function applyText(
  container: LockedContainer,
  before: string,
  after: { text: string; value: ContainerConfig },
): Promise<ChangeResult> {
  const { name, config, state } = container;
  checkNumber(name, after.value.ctid);
  checkSoftLimits(name, after.value);
  checkAddress(after.value, state);
  checkMounts({ config: after.value }, config.mounts);
  const file = containerPaths(name).config;
  const running = statusOf(name).state !== "stopped";
  const changed = changedKeys(config, after.value);
  // Where nothing refuses above them, soft limits are berth's alone.
  const kept = storageDriver(state.storage).enforcesSoft ? [...hardKeys, ...softKeys] : hardKeys;
  const resizes = changed.some((key) => kept.includes(key));
  if (resizes) await resize(container, after, running);
  const notes: string[] = [];
  const added = addedMounts(config, after.value);
  const live = newMounts(config.mounts, after.value.mounts).length === 0;
  try {
    if (running) cgroups().update(name, limitsOf(after.value));
    writeAtomic(file, after.text);
    // From here on the file says it: a command killed before leaves the intent, by which it is written after all.
    if (resizes) clearIntent(name);
    if (running && added.length > 0) await mountLive(container, added, (text) => notes.push(text));
  } catch (error) {
    if (running) cgroups().update(name, limitsOf(config));
    writeAtomic(file, before);
    if (resizes) await resizeBack(container);
    throw error;
  }
  if (softKeys.every((key) => after.value[key] === undefined)) forgetCrossing(name);
  return {
    atNextStart: running ? changed.filter((key) => !liveKeys.has(key) && !(key === "mounts" && live)) : [],
    warnings: [
      ...mountWarnings({ name, config: after.value }, config.mounts),
      ...(changed.some((key) => hardKeys.includes(key))
        ? limitWarnings(name, after.value, state.storage)
        : []),
      ...notes,
    ],
  };
}

/** Mounts at targets that had none: those a running guest can get at once. Others wait for its next start. */
const addedMounts = (before: ContainerConfig, after: ContainerConfig): readonly Mount[] =>
  after.mounts.filter(({ target }) => !before.mounts.some((mount) => mount.target === target));

/** Leaves the intent to whoever has written the settings. */
async function resize(
  container: LockedContainer,
  after: { text: string; value: ContainerConfig },
  running: boolean,
): Promise<void> {
  const { name, state, config } = container;
  const driver = storageDriver(state.storage);
  if (after.value.inodes !== config.inodes && driver.inodeLimit === "fixed") {
    throw new BerthError(
      "storage.failed",
      `${name}: the number of inodes of an image is fixed when it is made`,
      "create the container with --inodes",
    );
  }
  const limits = diskLimits(after.value);
  const refused = driver.refusesLive(state.uuid, limits);
  if (refused !== undefined) refuseMounted(container);
  if (running && refused !== undefined)
    throw new BerthError(
      "container.running",
      `container ${name} is running: ${refused}`,
      `berth stop ${name} first`,
    );
  declareIntent(name, {
    operation: "resize",
    uuid: state.uuid,
    storage: state.storage,
    limits,
    config: after.text,
  });
  try {
    await driver.resize(state.uuid, limits);
  } catch (error) {
    clearIntent(name);
    throw error;
  }
}

/** Gives the volume the limits that it had; what was written before is what the settings say again. */
async function resizeBack({ name, state, config }: LockedContainer): Promise<void> {
  try {
    await storageDriver(state.storage).resize(state.uuid, diskLimits(config));
  } catch {
    // Driver image makes no disk smaller that is in use: it stays larger, and what failed before is what is told.
  }
  clearIntent(name);
}

/** Dotted keys whose values differ. */
export function changedKeys(before: object, after: object, prefix = ""): string[] {
  const a: Record<string, unknown> = { ...before };
  const b: Record<string, unknown> = { ...after };
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) => {
    const [x, y] = [a[key], b[key]];
    if (isPlain(x) && isPlain(y)) return changedKeys(x, y, `${prefix}${key}.`);
    return JSON.stringify(x) === JSON.stringify(y) ? [] : [`${prefix}${key}`];
  });
}

const isPlain = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);
