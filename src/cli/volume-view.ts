/** A volume as `volume ls` and `volume info` show it: sizes in bytes, null for what is not known or not limited. */

import { loadConfigLeniently } from "../container/store.ts";
import { type VolumeUser, volumeUsers } from "../container/volume-users.ts";
import type { VolumeRecord } from "../storage/volume-record.ts";
import { volumeUsage } from "../storage/volumes.ts";

export type VolumeView = {
  readonly name: string;
  readonly storage: string;
  readonly id: string;
  readonly size: number | null;
  readonly used: number | null;
  readonly inodes: number | null;
  readonly inodesUsed: number | null;
  readonly created: string;
  readonly users: readonly VolumeUser[];
};

export function volumeView(record: VolumeRecord): VolumeView {
  const usage = volumeUsage(record);
  return {
    name: record.name,
    storage: record.storage,
    id: record.id,
    size: usage.bytes ?? null,
    used: usage.usedBytes ?? null,
    inodes: usage.inodes ?? null,
    inodesUsed: usage.usedInodes ?? null,
    created: record.created,
    users: volumeUsers(record.name, loadConfigLeniently),
  };
}
