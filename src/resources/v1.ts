/**
 * cgroup v1 and hybrid: a directory per controller's hierarchy. The guest sees none of them: where a v2 hierarchy
 * exists beside them (hybrid) it is the guest's own root, and without one the guest has no cgroup file system.
 * A privileged guest can mount all of them and owns their files: its root lies one level below its limits, as on v2. Others
 * are held by ownership, and are spared a dozen directories.
 */
import { existsSync, rmdirSync } from "node:fs";
import { BerthError, errnoOf } from "../base/errors.ts";
import { devicePrograms } from "../kernel/bpf.ts";
import type { PlanRecord } from "../kernel/plan.ts";
import { type DeviceRule, deviceProgram, v1DeviceLines } from "./devices.ts";
import type { CgroupDriver } from "./driver.ts";
import type { CgroupLayout } from "./layout.ts";
import { type CgroupWrite, keeperLimits, type Limits, v1Writes } from "./limits.ts";
import {
  boundTree,
  carryOut,
  dirRecord,
  KEEPERS,
  killCgroup,
  makeCgroup,
  readCgroup,
  readKeyed,
  readNumber,
  removeCgroup,
  removeEmptyTop,
  withTopLock,
  writeCgroup,
  writeRecord,
} from "./tree.ts";
import { delegate } from "./v2.ts";

/** v1 counts a kill in the victim's own cgroup, which is a privileged guest's below ours. */
function oomKills(dir: string | undefined): number | undefined {
  const killsIn = (path: string) => readKeyed(`${path}/memory.oom_control`, "oom_kill");
  const kills = dir === undefined ? undefined : killsIn(dir);
  return kills === undefined ? undefined : kills + (killsIn(`${dir}/guest`) ?? 0);
}

export function v1Driver(layout: CgroupLayout, parent: string): CgroupDriver {
  const mountOf = (controller: string): string | undefined =>
    layout.v1.find(({ controllers }) => controllers.includes(controller))?.mount;
  const dir = (controller: string, name: string): string | undefined => {
    const mount = mountOf(controller);
    return mount === undefined ? undefined : `${mount}/${parent}/${name}`;
  };
  const v2Dir = (name: string): string | undefined =>
    layout.v2 === undefined ? undefined : `${layout.v2}/${parent}/${name}`;
  const allTops = [
    ...layout.v1.map(({ mount }) => mount),
    ...(layout.v2 === undefined ? [] : [layout.v2]),
  ].map((mount) => `${mount}/${parent}`);
  const allDirs = (name: string): string[] => allTops.map((top) => `${top}/${name}`);

  const ownDirs = (name: string, privileged: boolean): string[] =>
    layout.v1.map(({ mount }) => `${mount}/${parent}/${name}${privileged ? "/guest" : ""}`);

  const prepareTop = (): void => {
    if (allDirs(KEEPERS).every((path) => existsSync(path))) return;
    for (const { mount, controllers } of layout.v1) {
      const top = `${mount}/${parent}`;
      makeCgroup(top);
      if (controllers.includes("cpuset")) {
        // A v1 cpuset is empty until told; its children copy it once clone_children is on.
        for (const file of ["cpuset.cpus", "cpuset.mems"])
          writeCgroup(`${top}/${file}`, readCgroup(`${mount}/${file}`) ?? "");
        writeCgroup(`${top}/cgroup.clone_children`, "1");
      }
      if (controllers.includes("memory") && readCgroup(`${top}/memory.use_hierarchy`) === "0") {
        writeCgroup(`${top}/memory.use_hierarchy`, "1");
      }
      makeCgroup(`${top}/${KEEPERS}`);
    }
    if (layout.v2 !== undefined) {
      makeCgroup(`${layout.v2}/${parent}`);
      makeCgroup(`${layout.v2}/${parent}/${KEEPERS}`);
    }
    writeLimits(KEEPERS, keeperLimits);
  };

  const write = (name: string, { controller, file, value, optional }: CgroupWrite): void => {
    const path = dir(controller, name);
    if (path === undefined) return;
    try {
      writeCgroup(`${path}/${file}`, value);
    } catch (error) {
      const errno = errnoOf(error);
      if (optional && errno === "ENOENT") return;
      if (errno === "EBUSY" && controller === "memory") {
        throw new BerthError(
          "container.busy",
          `${name}: memory cannot be limited to ${value} bytes: the guest uses more and the kernel cannot take it back`,
          "free memory in the guest, or choose a larger limit",
          error,
        );
      }
      throw error;
    }
  };
  const writeLimits = (name: string, limits: Limits): void => {
    const current = readNumber(`${dir("memory", name)}/memory.limit_in_bytes`) ?? 0;
    const raise = limits.memory === undefined || limits.memory > current;
    for (const one of v1Writes(limits, raise)) write(name, one);
  };

  /** Without the devices controller the rules are a program on the v2 side; with neither nobody may start. */
  const deviceRecords = (name: string, devices: readonly DeviceRule[]): PlanRecord[] => {
    if (mountOf("devices") !== undefined) return [];
    const v2 = v2Dir(name);
    if (v2 !== undefined) return [["deviceBpf", v2, deviceProgram(devices)]];
    throw new BerthError(
      "host.missing-feature",
      "this host has no devices cgroup: a guest could open any device",
      "mount the devices controller, or use cgroup v2",
    );
  };

  const deviceWrites = (name: string, devices: readonly DeviceRule[]): readonly PlanRecord[] => {
    const path = dir("devices", name);
    if (path === undefined) return [];
    return [
      writeRecord(`${path}/devices.deny`, "a"),
      ...v1DeviceLines(devices).map((line) => writeRecord(`${path}/devices.allow`, line)),
    ];
  };
  const limitRecords = (name: string, limits: Limits): readonly PlanRecord[] =>
    v1Writes(limits, limits.memory === undefined).flatMap(({ controller, file, value, optional }) => {
      const path = dir(controller, name);
      return path === undefined ? [] : [writeRecord(`${path}/${file}`, value, optional)];
    });
  const freshRecords: CgroupDriver["freshRecords"] = (name, limits, devices, baseUid) => {
    const freezer = dir("freezer", name);
    const guest = v2Dir(name);
    return [
      ...allDirs(name).map((path) => dirRecord(path)),
      // A container that was left frozen would freeze whoever joins it.
      ...(freezer === undefined ? [] : [writeRecord(`${freezer}/freezer.state`, "THAWED")]),
      ...limitRecords(name, limits),
      ...deviceWrites(name, devices),
      ...(baseUid === 0 ? ownDirs(name, true).map((path) => dirRecord(path)) : []),
      ...(guest === undefined
        ? []
        : [...boundTree(guest), dirRecord(`${guest}/guest`), ...delegate(`${guest}/guest`, baseUid)]),
    ];
  };

  return {
    version: layout.v2 === undefined ? "v1" : "hybrid",
    prepare: (name, limits, devices, baseUid) => {
      withTopLock(() => {
        prepareTop();
        allDirs(name).forEach(makeCgroup);
      });
      carryOut(freshRecords(name, limits, devices, baseUid));
    },
    freshRecords,
    sharedDirs: allDirs(KEEPERS),
    update: writeLimits,
    remove: (name) => {
      for (const path of allDirs(name)) removeCgroup(path);
    },
    removeShared: () =>
      withTopLock(() =>
        allTops.map((top) => removeEmptyTop(top, (path) => rmdirSync(path))).every((removed) => removed),
      ),
    kill: (name) => {
      const v2 = v2Dir(name);
      if (v2 !== undefined) killCgroup(v2);
    },
    path: (name) => `/${parent}/${name}`,
    guestRoot: (name) => (layout.v2 === undefined ? undefined : `${v2Dir(name)}/guest`),
    usage: (name) => {
      const memory = readNumber(`${dir("memory", name)}/memory.usage_in_bytes`);
      const both = readNumber(`${dir("memory", name)}/memory.memsw.usage_in_bytes`);
      const nanos = readNumber(`${dir("cpuacct", name)}/cpuacct.usage`);
      return {
        memory,
        swap: memory === undefined || both === undefined ? undefined : Math.max(0, both - memory),
        cpuSeconds: nanos === undefined ? undefined : nanos / 1e9,
        pids: readNumber(`${dir("pids", name)}/pids.current`),
        oomKills: oomKills(dir("memory", name)),
      };
    },
    liveRecords: (name) => {
      const live = (which: string, controller: string, file: string, key = ""): readonly PlanRecord[] => {
        const path = dir(controller, name);
        return path === undefined ? [] : [["live", which, `${path}/${file}`, key]];
      };
      return [
        ...live("frozen", "freezer", "freezer.state", "THAWED"),
        ...live("memory", "memory", "memory.usage_in_bytes"),
        ...live("memsw", "memory", "memory.memsw.usage_in_bytes"),
        ...live("cpu-ns", "cpuacct", "cpuacct.usage"),
        ...live("pids", "pids", "pids.current"),
        ...live("oom", "memory", "memory.oom_control", "oom_kill"),
        ...live("oom-guest", "memory", "guest/memory.oom_control", "oom_kill"),
      ];
    },
    setFrozen: (name, frozen) => {
      const path = dir("freezer", name);
      const v2 = v2Dir(name);
      if (path !== undefined) writeCgroup(`${path}/freezer.state`, frozen ? "FROZEN" : "THAWED");
      else if (v2 !== undefined) writeCgroup(`${v2}/cgroup.freeze`, frozen ? "1" : "0");
      else
        throw new BerthError(
          "host.missing-feature",
          "this host has no freezer cgroup",
          "mount the freezer controller, or use cgroup v2",
        );
    },
    isFrozen: (name) => {
      const state = readCgroup(`${dir("freezer", name)}/freezer.state`);
      if (state !== undefined) return state !== "THAWED";
      return readCgroup(`${v2Dir(name)}/cgroup.freeze`) === "1";
    },
    hasDeviceRules: (name) => {
      const list = readCgroup(`${dir("devices", name)}/devices.list`);
      if (list !== undefined) return !list.split("\n").includes("a *:* rwm");
      return (devicePrograms(v2Dir(name) ?? "") ?? 0) > 0;
    },
    startRecords: (name, devices, privileged) => [
      ...deviceRecords(name, devices),
      ...ownDirs(name, privileged).map((path) => ["cgroupJoin", "v1", path] as const),
      ...(layout.v2 === undefined
        ? []
        : [["cgroupJoin", "v2", `${layout.v2}/${parent}/${name}/guest`] as const]),
      ...layout.v1.map(({ mount }) => ["cgroupKeeper", "v1", `${mount}/${parent}/${KEEPERS}`] as const),
      ...(layout.v2 === undefined
        ? []
        : [["cgroupKeeper", "v2", `${layout.v2}/${parent}/${KEEPERS}`] as const]),
      ...allDirs(name).map((path) => ["cgroupRemove", path] as const),
      ...(mountOf("memory") === undefined
        ? []
        : [["oomEvents", "v1", `${dir("memory", name)}/memory.oom_control`] as const]),
    ],
    attachRecords: (name, privileged) => [
      ...ownDirs(name, privileged).map((path) => ["cgroupJoin", "v1", path] as const),
      ...(layout.v2 === undefined
        ? []
        : [["cgroupLikeInit", layout.v2, `/${parent}/${name}/guest`] as const]),
    ],
  };
}
