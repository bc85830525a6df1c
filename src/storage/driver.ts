/**
 * What a storage driver does for a container. Drivers live side by side behind this interface; one shared case
 * file (cases.ts) is passed by all of them.
 */
import type { DriverName } from "../config/storage-drivers.ts";
import type { PlanRecord } from "../kernel/plan.ts";

export type { DriverName };

/** Limits of a volume; `undefined` is no limit. Bytes and inodes count what the container changed, not the template. */
export type VolumeLimits = {
  readonly bytes: number | undefined;
  readonly inodes: number | undefined;
  readonly soft?: SoftLimits | undefined;
  /** Only looked at when the volume is made: whether users and groups inside the guest can be given limits. */
  readonly userQuota?: boolean | undefined;
};

/** Limits that may be passed for a while: where the file system keeps them, what lies above is refused after the grace. */
export type SoftLimits = {
  readonly bytes: number | undefined;
  readonly inodes: number | undefined;
  /** Seconds. */
  readonly grace: number;
};

/**
 * The limits in force and what is used. `undefined`: no limit, or not known without walking the tree. The counts of
 * a volume that is mounted lag behind; statfs of the guest's root has the true ones.
 */
export type VolumeUsage = Omit<VolumeLimits, "soft" | "userQuota"> & {
  readonly usedBytes: number | undefined;
  readonly usedInodes: number | undefined;
  /** Bytes on the host that the volume takes. */
  readonly allocated: number | undefined;
  /** It is above a soft limit: when the kernel will refuse more, in milliseconds since 1970. */
  readonly graceEnds?: number | undefined;
};

export type StorageDriver = {
  readonly name: DriverName;
  /** Whether a limit given to it holds. `plain` has none and warns. */
  readonly enforcesQuota: boolean;
  /** Why `resize` cannot give these limits to a volume while a guest runs on it; undefined when it can. */
  readonly refusesLive: (id: string, limits: VolumeLimits) => string | undefined;
  /** Whether the number of inodes is limited: for good when the volume is made, changeable, or not at all. */
  readonly inodeLimit: "fixed" | "changeable" | "none";
  /** Whether the counts of `usage` are exact while a guest runs. */
  readonly countsLive: boolean;
  /** Whether the file system itself keeps soft limits: it refuses what goes above them once the grace is over. */
  readonly enforcesSoft: boolean;
  /** Names what the host lacks for this driver, or undefined when it works. */
  readonly missing: () => Promise<string | undefined>;
  /** Names what is missing for quota of users and groups inside guests, or undefined when it works. */
  readonly userQuotaGap: () => Promise<string | undefined>;
  /** Makes the empty volume; fails with storage.failed or host.no-space and then leaves nothing. */
  readonly create: (id: string, limits: VolumeLimits) => Promise<void>;
  /** Removes it with all data. Removing what is not there is fine. */
  readonly remove: (id: string) => Promise<void>;
  readonly exists: (id: string) => boolean;
  /** The ids of all its volumes. */
  readonly volumes: () => readonly string[];
  /**
   * Changes the limits of a volume (while a guest runs on it only if `refusesLive` has nothing against it); never below what it holds. A failure leaves it as it was;
   * one that was killed is completed or taken back by calling it again.
   */
  readonly resize: (id: string, limits: VolumeLimits) => Promise<void>;
  readonly usage: (id: string) => VolumeUsage;
  /** Gives the volume another id, at once; for one that is not mounted. The other id must be free. */
  readonly rename: (id: string, to: string) => Promise<void>;
  /** Makes a volume fit to lie below others from now on; for one that is not mounted. */
  readonly seal: (id: string) => Promise<void>;
  /**
   * Copies the volume's tree as it is at one moment, whether or not a guest runs on it, into the new volume `to`; where
   * the file system can do that. A failure leaves nothing. What the source's `work` holds belongs to the source's
   * upper: the copy's must be made anew before it is mounted as an overlay.
   */
  readonly snapshot?: (id: string, to: string) => Promise<void>;
  /** Runs `work` on the directory that holds `upper` and `work`, whether or not a guest runs on it. */
  readonly withVolume: <T>(id: string, work: (dir: string) => Promise<T>, mode?: VolumeMode) => Promise<T>;
  /** The records after which "@as" is the directory that holds `upper` and `work`. Others may have it read-only too. */
  readonly mountRecords: (id: string, as: string, mode?: VolumeMode) => readonly PlanRecord[];
};

/** A volume that lies below others is only ever read; one that has a name may be written to by several guests. */
export type VolumeMode = "rw" | "ro" | "shared";

/** A volume that lies below a container's own: what it, or the one it was cloned from, had written before. */
export type Layer = {
  readonly id: string;
  readonly storage: DriverName;
  /** First host id of the range that its files belong to; 0 when privileged. */
  readonly baseUid: number;
};
