/** Who uses a named volume, and the changes that ask for it. */
import { closeSync, existsSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";
import type { VolumeLimits } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import type { VolumeRecord } from "../storage/volume-record.ts";
import { needVolume, removeVolume, resizeVolume, withVolumeLocks } from "../storage/volumes.ts";
import { tryTakeLock } from "./lock.ts";
import { recordedVolumes, volumesOf } from "./mounts.ts";
import { containerNames } from "./name.ts";
import { statusOf } from "./status.ts";
import { loadConfig } from "./store.ts";

export type VolumeUser = {
  readonly name: string;
  /** Its settings name the volume. */
  readonly mounts: boolean;
  /** It runs, and started with the volume. */
  readonly running: boolean;
};

/**
 * The volume's users. Fails when a configuration is damaged, for a volume must not go from under its container; unless
 * `load` is one that takes the defaults then.
 */
export const volumeUsers = (volume: string, load = loadConfig): readonly VolumeUser[] =>
  containerNames()
    .map((name) => ({
      name,
      mounts: existsSync(containerPaths(name).config) && volumesOf(load(name)).includes(volume),
      running: recordedVolumes(name).includes(volume) && statusOf(name).state !== "stopped",
    }))
    .filter(({ mounts, running }) => mounts || running);

/** Removes it with all data, unless a container uses it. */
export async function removeUnused(name: string): Promise<void> {
  await withVolumeLocks([name], async () => {
    const record = needVolume(name);
    const users = volumeUsers(name);
    if (users.length > 0)
      throw new BerthError(
        "volume.in-use",
        `volume ${name} is used by ${users.map((user) => user.name).join(", ")}`,
        `\`berth set ${users[0]?.name} --unmount TARGET\` takes it away (a running guest has it until it stops), or remove the container`,
      );
    await removeVolume(record);
  });
}

/** Changes its limits; with drivers that cannot do that live, only while no guest that has it runs. */
export async function resizeUnused(name: string, limits: Partial<VolumeLimits>): Promise<VolumeRecord> {
  return await withVolumeLocks([name], async () => {
    const record = needVolume(name);
    const wanted = { bytes: record.bytes, inodes: record.inodes, ...limits };
    if (storageDriver(record.storage).refusesLive(record.id, wanted) === undefined)
      await resizeVolume(record, wanted);
    else await whileStopped(record, () => resizeVolume(record, wanted));
    return needVolume(name);
  });
}

/** Runs `work` with the locks of all its users, so that none starts meanwhile. It waits for none of them: they may wait for the volume. */
async function whileStopped({ name, storage }: VolumeRecord, work: () => Promise<void>): Promise<void> {
  const users = volumeUsers(name);
  const locks = users.map((user) => ({ user: user.name, lock: tryTakeLock(user.name) }));
  try {
    const busy = locks.find(({ lock }) => lock === undefined);
    if (busy !== undefined)
      throw new BerthError(
        "container.busy",
        `container ${busy.user}, which mounts volume ${name}, is busy`,
        "try again when the other command is done",
      );
    const running = volumeUsers(name).filter((user) => user.running);
    if (running.length > 0)
      throw new BerthError(
        "volume.in-use",
        `volume ${name} is mounted by ${running.map((user) => user.name).join(", ")}: storage driver ${storage} changes limits of volumes that are not in use`,
        `berth stop ${running.map((user) => user.name).join(" ")} first`,
      );
    await work();
  } finally {
    for (const { lock } of locks) if (lock !== undefined) closeSync(lock.fd);
  }
}
