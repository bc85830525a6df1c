/**
 * Which cgroup hierarchies this host has. Pure v2 (Debian 11+, Ubuntu 22.04+) has one; a v1 host has one per
 * controller, and a hybrid host has those plus a v2 hierarchy without the controllers that v1 took.
 */
import { readFileSync } from "node:fs";

export type CgroupLayout = {
  /** Mount point of the v2 hierarchy, if there is one. */
  readonly v2: string | undefined;
  /** Controllers that the v2 hierarchy offers. */
  readonly v2Controllers: ReadonlySet<string>;
  /** v1 hierarchies: mount point and what is bound to it ("memory", "cpu", "name=systemd"). */
  readonly v1: readonly { readonly mount: string; readonly controllers: readonly string[] }[];
};

const v1Controllers = new Set([
  "memory",
  "cpu",
  "cpuacct",
  "cpuset",
  "pids",
  "devices",
  "freezer",
  "blkio",
  "name=systemd",
]);

/** Reads the layout from a mount table (/proc/self/mounts) and a reader of small files. */
export function layoutFrom(mounts: string, readFile: (path: string) => string): CgroupLayout {
  let v2: string | undefined;
  const v1: { mount: string; controllers: string[] }[] = [];
  for (const line of mounts.split("\n")) {
    const [, mount, type, options] = line.split(" ");
    if (mount === undefined || options === undefined) continue;
    if (type === "cgroup2") v2 ??= mount;
    if (type !== "cgroup") continue;
    const controllers = options.split(",").filter((option) => v1Controllers.has(option));
    if (controllers.length > 0 && !v1.some((other) => other.mount === mount)) v1.push({ mount, controllers });
  }
  const offered = v2 === undefined ? "" : readFile(`${v2}/cgroup.controllers`);
  return { v2, v2Controllers: new Set(offered.trim().split(/\s+/).filter(Boolean)), v1 };
}

let known: CgroupLayout | undefined;

/** This host's layout, read once. */
export function cgroupLayout(): CgroupLayout {
  known ??= layoutFrom(readFileSync("/proc/self/mounts", "utf8"), (path) => readFileSync(path, "utf8"));
  return known;
}

/** Whether limits are kept by v2 (true) or by v1 controllers. */
export const limitsOnV2 = (layout: CgroupLayout): boolean => layout.v2Controllers.has("memory");
