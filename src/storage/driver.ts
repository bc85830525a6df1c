/**
 * What a storage driver does for a container. Drivers live side by side behind this interface; one shared case
 * file (cases.ts) is passed by all of them.
 */
import type { DriverName } from "../config/storage-drivers.ts";
import type { PlanRecord } from "../kernel/plan.ts";

export type { DriverName };

/** Limits of a volume; `undefined` is no limit. Bytes and inodes count what the container changed, not the template. */
export type VolumeLimits = { readonly bytes: number | undefined; readonly inodes: number | undefined };

/**
 * The limits in force and what is used. `undefined`: no limit, or not known without walking the tree. The counts of
 * a volume that is mounted lag behind; statfs of the guest's root has the true ones.
 */
export type VolumeUsage = VolumeLimits & {
  readonly usedBytes: number | undefined;
  readonly usedInodes: number | undefined;
  /** Bytes on the host that the volume takes. */
  readonly allocated: number | undefined;
};

export type StorageDriver = {
  readonly name: DriverName;
  /** Whether a limit given to it holds. `plain` has none and warns. */
  readonly enforcesQuota: boolean;
  /** Whether `resize` may be called while the guest runs, and it feels the limits at once. */
  readonly resizesLive: boolean;
  /** Names what the host lacks for this driver, or undefined when it works. */
  readonly missing: () => Promise<string | undefined>;
  /** Makes the empty volume; fails with storage.failed or host.no-space and then leaves nothing. */
  readonly create: (id: string, limits: VolumeLimits) => Promise<void>;
  /** Removes it with all data. Removing what is not there is fine. */
  readonly remove: (id: string) => Promise<void>;
  readonly exists: (id: string) => boolean;
  /** The ids of all its volumes. */
  readonly volumes: () => readonly string[];
  /**
   * Changes the limits of a volume (not mounted, unless `resizesLive`); never below what it holds. A failure leaves it as it was;
   * one that was killed is completed or taken back by calling it again.
   */
  readonly resize: (id: string, limits: VolumeLimits) => Promise<void>;
  readonly usage: (id: string) => VolumeUsage;
  /**
   * The records that give the guest its root: template below, the volume's upper on top, owned by `baseUid`
   * (0 and `shifted` false for a privileged guest).
   */
  readonly rootRecords: (
    id: string,
    rootfs: string,
    baseUid: number,
    shifted: boolean,
  ) => readonly PlanRecord[];
};
