/**
 * Volumes that have a name: space with a limit of its own, which containers mount and which outlives them. A storage
 * driver keeps each; what containers see is the directory `data` in it. Ids of users in it are stored as 0 to 65535
 * and shifted for each container, so that a volume can go from one to another, or be shared.
 */
import { closeSync, mkdirSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { syncDir } from "../base/files.ts";
import { instance } from "../base/paths.ts";
import { dropLock, takeLockFile, tryLockFile } from "../kernel/lock-file.ts";
import type { PlanRecord } from "../kernel/plan.ts";
import type { DriverName, VolumeLimits, VolumeUsage } from "./driver.ts";
import { storageDriver } from "./drivers.ts";
import { mountedUsage } from "./image.ts";
import {
  checkVolumeName,
  dropVolume,
  noSuchVolume,
  readVolume,
  type VolumeRecord,
  volumeNames,
  writeVolume,
} from "./volume-record.ts";

const lockFileOf = (name: string): string => `${instance.run}/.lock/volume ${name}`;

/** Runs `work` under the volumes' locks, taken in the order of their names, what was cut short recovered. */
export async function withVolumeLocks<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
  const [name, ...others] = [...new Set(names)].sort();
  return name === undefined ? await work() : await withVolumeLock(name, () => withVolumeLocks(others, work));
}

async function withVolumeLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const fd = await takeLockFile(
    lockFileOf(name),
    (holder) =>
      new BerthError(
        "volume.in-use",
        `volume ${name} is busy: ${holder} works on it`,
        "wait for it, or end it",
      ),
  );
  try {
    await recoverVolume(name);
    return await work();
  } finally {
    if (readVolume(name) === undefined) dropLock(lockFileOf(name));
    closeSync(fd);
  }
}

/** Completes or undoes what was cut short, under the volume's lock. */
async function recoverVolume(name: string): Promise<void> {
  const record = readVolume(name);
  if (record?.intent === undefined) return;
  if (record.intent.operation === "resize") await finishResize(record, record.intent);
  else await discard(record);
}

/** What is not to be had is taken back; a driver that failed has left the volume as it was. */
async function finishResize(
  { intent: _, ...record }: VolumeRecord,
  { bytes, inodes }: Partial<VolumeLimits>,
): Promise<void> {
  try {
    await storageDriver(record.storage).resize(record.id, { bytes, inodes });
  } catch (error) {
    writeVolume(record);
    throw error;
  }
  writeVolume({ ...record, bytes, inodes });
}

async function discard({ name, id, storage }: VolumeRecord): Promise<void> {
  await storageDriver(storage).remove(id);
  dropVolume(name);
}

/** All volumes; what was cut short and nobody works on is recovered first. */
export async function listVolumes(): Promise<readonly VolumeRecord[]> {
  for (const name of volumeNames().filter((one) => readVolume(one)?.intent !== undefined)) {
    const fd = tryLockFile(lockFileOf(name));
    if (fd === undefined) continue;
    try {
      await recoverVolume(name);
      if (readVolume(name) === undefined) dropLock(lockFileOf(name));
    } finally {
      closeSync(fd);
    }
  }
  return volumeNames().flatMap((name) => readVolume(name) ?? []);
}

/** The volume, what was cut short recovered. Throws volume.not-found. */
export async function openVolume(name: string): Promise<VolumeRecord> {
  if (readVolume(name)?.intent !== undefined) await withVolumeLocks([name], async () => {});
  return needVolume(name);
}

/** As `openVolume`, for who holds its lock or has opened it. */
export function needVolume(name: string): VolumeRecord {
  const record = readVolume(name);
  if (record === undefined) throw noSuchVolume(name);
  return record;
}

export type VolumeRequest = VolumeLimits & { readonly name: string; readonly storage: DriverName };

/** Makes it, whole or not at all. */
export async function createVolume({ name, storage, bytes, inodes }: VolumeRequest): Promise<VolumeRecord> {
  checkVolumeName(name);
  const driver = storageDriver(storage);
  const missing = await driver.missing();
  if (missing !== undefined)
    throw new BerthError(
      "host.missing-feature",
      `storage driver ${storage} does not work here: ${missing}`,
      "choose another with --storage",
    );
  return await withVolumeLocks([name], async () => {
    if (readVolume(name) !== undefined)
      throw new BerthError(
        "volume.exists",
        `there is a volume ${name} already`,
        "choose another name, or `berth volume rm` it first",
      );
    const record: VolumeRecord = {
      ...{ version: 1, name, id: crypto.randomUUID(), storage, bytes, inodes },
      created: new Date().toISOString(),
    };
    writeVolume({ ...record, intent: { operation: "create" } });
    try {
      await driver.create(record.id, { bytes, inodes });
      await driver.withVolume(record.id, async (dir) => {
        mkdirSync(`${dir}/data`, { mode: 0o755 });
        syncDir(dir); // the record must not outlast it in a power cut
      });
      writeVolume(record);
    } catch (error) {
      await discard(record);
      throw error;
    }
    return record;
  });
}

/** Removes it with all data; its lock is held, and nobody uses it. */
export async function removeVolume(record: VolumeRecord): Promise<void> {
  writeVolume({ ...record, intent: { operation: "remove" } });
  await discard(record);
}

/** Changes its limits; its lock is held. */
export async function resizeVolume(record: VolumeRecord, limits: VolumeLimits): Promise<void> {
  const wanted = { ...record, intent: { operation: "resize" as const, ...limits } };
  writeVolume(wanted);
  await finishResize(wanted, limits);
}

export const volumeUsage = ({ storage, id }: VolumeRecord): VolumeUsage => ({
  ...storageDriver(storage).usage(id),
  ...(storage === "image" ? mountedUsage(id) : {}),
});

/** The records after which "@AS/data" is what containers see of it. */
export const volumeMountRecords = ({ storage, id }: VolumeRecord, as: string): readonly PlanRecord[] =>
  storageDriver(storage).mountRecords(id, as, "shared");
