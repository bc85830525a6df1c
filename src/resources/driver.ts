/** What a cgroup driver does for one container; v1/hybrid and v2 stand behind this interface. */
import type { PlanRecord } from "../kernel/plan.ts";
import type { DeviceRule } from "./devices.ts";
import type { Limits } from "./limits.ts";

export type Usage = {
  /** Bytes; undefined where the host does not count them. */
  readonly memory: number | undefined;
  readonly swap: number | undefined;
  /** Seconds of CPU time since the start. */
  readonly cpuSeconds: number | undefined;
  readonly pids: number | undefined;
  /** Processes the kernel killed for want of memory. */
  readonly oomKills: number | undefined;
};

export type CgroupDriver = {
  readonly version: "v2" | "v1" | "hybrid";
  /** Makes the container's cgroups, which are not there yet, with limits and device rules, the guest's root owned by `baseUid`. */
  readonly prepare: (name: string, limits: Limits, devices: readonly DeviceRule[], baseUid: number) => void;
  /** The same as data: what is made and written, in its order. */
  readonly freshRecords: (
    name: string,
    limits: Limits,
    devices: readonly DeviceRule[],
    baseUid: number,
  ) => readonly PlanRecord[];
  /** Cgroups of all containers, which must be there for that. */
  readonly sharedDirs: readonly string[];
  /** Changes limits while it runs. */
  readonly update: (name: string, limits: Limits) => void;
  /** Removes the container's cgroups; nothing may run in them. Removing what is not there is fine. */
  readonly remove: (name: string) => void;
  /** Removes the cgroups that all containers share. False when a container has its own there, or a keeper still runs. */
  readonly removeShared: () => boolean;
  /** Kills everything that runs in the container's cgroups. */
  readonly kill: (name: string) => void;
  /** The directory with the container's limits, below the mount of each hierarchy. */
  readonly path: (name: string) => string;
  /** The cgroup v2 directory that is the guest's own root; undefined where there is no v2. */
  readonly guestRoot: (name: string) => string | undefined;
  readonly usage: (name: string) => Usage;
  /** Where the kernel tells isFrozen() and usage(), as data (kernel/plan.ts: live). */
  readonly liveRecords: (name: string) => readonly PlanRecord[];
  readonly setFrozen: (name: string, frozen: boolean) => void;
  readonly isFrozen: (name: string) => boolean;
  /** Whether rules of devices hold for it now, as the kernel tells. */
  readonly hasDeviceRules: (name: string) => boolean;
  /** Records for `start`: where the guest and the keeper go, what is removed afterwards, device program. */
  readonly startRecords: (
    name: string,
    devices: readonly DeviceRule[],
    privileged: boolean,
  ) => readonly PlanRecord[];
  /** Records for `attach`. */
  readonly attachRecords: (name: string, privileged: boolean) => readonly PlanRecord[];
};
