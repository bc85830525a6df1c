/** cgroup v2: one hierarchy; a container has a directory with its limits and below it, `guest`, the guest's own root. */
import { existsSync } from "node:fs";
import { devicePrograms } from "../kernel/bpf.ts";
import type { PlanRecord } from "../kernel/plan.ts";
import { deviceProgram } from "./devices.ts";
import type { CgroupDriver } from "./driver.ts";
import type { CgroupLayout } from "./layout.ts";
import { type CgroupWrite, keeperLimits, v2Writes } from "./limits.ts";
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

/** Controllers that guests get, where the host has them. */
const wanted = ["cpu", "memory", "pids", "io", "cpuset"];

/** Files of a cgroup that its delegatee may write (cgroup-v2.rst, "Delegation"). */
const delegated = ["", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"];

/** Gives the guest's root to the guest's root user. */
export const delegate = (guest: string, baseUid: number): readonly PlanRecord[] =>
  delegated.map((file) => ["chown", `${guest}${file}`, baseUid, baseUid]);

/** Who makes and removes berth's own cgroup: systemd, where it is a slice. */
export type TopCgroup = {
  readonly make: (path: string) => void;
  readonly remove: (path: string) => void;
};

export function v2Driver(
  layout: CgroupLayout & { v2: string },
  parent: string,
  own: TopCgroup,
): CgroupDriver {
  const top = `${layout.v2}/${parent}`;
  const dir = (name: string) => `${top}/${name}`;
  const controllers = wanted.filter((controller) => layout.v2Controllers.has(controller));
  const enable = controllers.map((controller) => `+${controller}`).join(" ");

  const prepareTop = (): void => {
    if (existsSync(`${top}/${KEEPERS}`)) return;
    writeCgroup(`${layout.v2}/cgroup.subtree_control`, enable);
    own.make(top);
    writeCgroup(`${top}/cgroup.subtree_control`, enable);
    makeCgroup(`${top}/${KEEPERS}`);
    write(KEEPERS, v2Writes(keeperLimits));
  };
  const limitRecords = (name: string, writes: readonly CgroupWrite[]): readonly PlanRecord[] =>
    writes
      .filter(({ controller }) => layout.v2Controllers.has(controller))
      .map(({ file, value, optional }) => writeRecord(`${dir(name)}/${file}`, value, optional));
  const write = (name: string, writes: readonly CgroupWrite[]): void => carryOut(limitRecords(name, writes));
  const freshRecords: CgroupDriver["freshRecords"] = (name, limits, _devices, baseUid) => [
    dirRecord(dir(name)),
    ...boundTree(dir(name)),
    ...limitRecords(name, v2Writes(limits)),
    writeRecord(`${dir(name)}/cgroup.subtree_control`, enable),
    dirRecord(`${dir(name)}/guest`),
    ...delegate(`${dir(name)}/guest`, baseUid),
  ];

  return {
    version: "v2",
    prepare: (name, limits, devices, baseUid) => {
      withTopLock(() => {
        prepareTop();
        makeCgroup(dir(name));
      });
      carryOut(freshRecords(name, limits, devices, baseUid));
    },
    freshRecords,
    sharedDirs: [`${top}/${KEEPERS}`],
    update: (name, limits) => write(name, v2Writes(limits)),
    remove: (name) => removeCgroup(dir(name)),
    removeShared: () => withTopLock(() => removeEmptyTop(top, own.remove)),
    kill: (name) => killCgroup(dir(name)),
    path: (name) => `/${parent}/${name}`,
    guestRoot: (name) => `${dir(name)}/guest`,
    usage: (name) => {
      const micros = readKeyed(`${dir(name)}/cpu.stat`, "usage_usec");
      return {
        memory: readNumber(`${dir(name)}/memory.current`),
        swap: readNumber(`${dir(name)}/memory.swap.current`),
        cpuSeconds: micros === undefined ? undefined : micros / 1e6,
        pids: readNumber(`${dir(name)}/pids.current`),
        oomKills: readKeyed(`${dir(name)}/memory.events`, "oom_kill"),
      };
    },
    liveRecords: (name) => [
      ["live", "frozen", `${dir(name)}/cgroup.freeze`, "0"],
      ["live", "memory", `${dir(name)}/memory.current`, ""],
      ["live", "swap", `${dir(name)}/memory.swap.current`, ""],
      ["live", "cpu-us", `${dir(name)}/cpu.stat`, "usage_usec"],
      ["live", "pids", `${dir(name)}/pids.current`, ""],
      ["live", "oom", `${dir(name)}/memory.events`, "oom_kill"],
    ],
    setFrozen: (name, frozen) => writeCgroup(`${dir(name)}/cgroup.freeze`, frozen ? "1" : "0"),
    isFrozen: (name) => readCgroup(`${dir(name)}/cgroup.freeze`) === "1",
    hasDeviceRules: (name) => (devicePrograms(dir(name)) ?? 0) > 0,
    startRecords: (name, devices) => [
      ["cgroupJoin", "v2", `${dir(name)}/guest`],
      ["cgroupKeeper", "v2", `${top}/${KEEPERS}`],
      ["cgroupRemove", dir(name)],
      ["oomEvents", "v2", `${dir(name)}/memory.events`],
      ["deviceBpf", dir(name), deviceProgram(devices)],
    ],
    attachRecords: (name) => [["cgroupLikeInit", layout.v2, `/${parent}/${name}/guest`]],
  };
}
