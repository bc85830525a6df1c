/**
 * The guest's own cgroups below its root (v2): who owns them, what their files say. CRIU makes only those that hold a
 * process again; an init also watches its empty ones. Names and owners were chosen by the guest; what is read and
 * written lies in the cgroup file system, which has no links.
 */
import { chownSync, lstatSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "../base/errors.ts";
import type { PlanRecord } from "../kernel/plan.ts";
import { setXattr, xattrsOf } from "../kernel/xattr.ts";
import { ID_COUNT } from "../launch/plan.ts";
import { cgroups } from "../resources/cgroup.ts";
import { cgroupLayout } from "../resources/layout.ts";
import { makeCgroup, readCgroup } from "../resources/tree.ts";

export type CgroupNode = {
  /** Below the guest's root; "" is the root itself. */
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
  /** Files whose owner is not the directory's: name, uid, gid. */
  readonly files: readonly (readonly [string, number, number])[];
  /** What the guest has set, by file, in the order in which it is to be written. */
  readonly values: Readonly<Record<string, string>>;
  /** user.* attributes, values in base64: an init keeps its own notes there. */
  readonly attributes: Readonly<Record<string, string>>;
};

/** Files that a guest sets, with what the kernel begins with. */
const knobs: Readonly<Record<string, string>> = {
  "cgroup.max.depth": "max",
  "cgroup.max.descendants": "max",
  "cpu.idle": "0",
  "cpu.max": "max 100000",
  "cpu.weight": "100",
  "io.weight": "default 100",
  "memory.high": "max",
  "memory.low": "0",
  "memory.max": "max",
  "memory.min": "0",
  "memory.oom.group": "0",
  "memory.swap.max": "max",
  "pids.max": "max",
};

const CONTROLLERS = "cgroup.subtree_control";

/** Where a container's cgroups lie in each hierarchy: "/berth/web1". */
export function cgroupHome(name: string): string {
  const guest = cgroups().guestRoot(name);
  const { v2 } = cgroupLayout();
  return guest === undefined || v2 === undefined ? "" : dirname(guest.slice(v2.length));
}

/** Names of files that `values` of a node may have. */
export const cgroupValues: readonly string[] = [...Object.keys(knobs), CONTROLLERS];

/** The tree, parents first. */
export function saveTree(root: string): CgroupNode[] {
  const walk = (path: string): CgroupNode[] => {
    const dir = `${root}${path}`;
    const { uid, gid } = lstatSync(dir);
    const entries = readdirSync(dir, { withFileTypes: true });
    const files = entries
      .filter((entry) => !entry.isDirectory())
      .flatMap(({ name }) => {
        const file = lstatSync(`${dir}/${name}`);
        return file.uid === uid && file.gid === gid ? [] : [[name, file.uid, file.gid] as const];
      });
    const node = { path, uid, gid, files, values: valuesOf(dir), attributes: attributesOf(dir) };
    return [
      node,
      ...entries.filter((entry) => entry.isDirectory()).flatMap(({ name }) => walk(`${path}/${name}`)),
    ];
  };
  return walk("");
}

function valuesOf(dir: string): Record<string, string> {
  const set = Object.entries(knobs).flatMap(([file, initial]) => {
    const value = readCgroup(`${dir}/${file}`);
    return value === undefined || value === initial ? [] : [[file, value] as const];
  });
  const controllers = readCgroup(`${dir}/${CONTROLLERS}`) ?? "";
  const enable = controllers
    .split(" ")
    .filter(Boolean)
    .map((controller) => `+${controller}`)
    .join(" ");
  return Object.fromEntries([...set, ...(enable === "" ? [] : [[CONTROLLERS, enable] as const])]);
}

function attributesOf(dir: string): Record<string, string> {
  const own = xattrsOf(dir).filter(({ name }) => name.toString().startsWith("user."));
  return Object.fromEntries(own.map(({ name, value }) => [name.toString(), value.toString("base64")]));
}

/** The same tree with owners of another range of ids; who is not of the range is left alone. */
export function shiftTree(tree: readonly CgroupNode[], from: number, to: number): CgroupNode[] {
  const shift = (id: number): number => (id >= from && id < from + ID_COUNT ? id - from + to : id);
  return tree.map(({ uid, gid, files, ...node }) => ({
    ...node,
    uid: shift(uid),
    gid: shift(gid),
    files: files.map(([name, user, group]) => [name, shift(user), shift(group)] as const),
  }));
}

/** Makes the directories below `root`, which is there, with their owners and attributes. */
export function makeTree(root: string, tree: readonly CgroupNode[]): void {
  for (const { path, attributes } of tree) {
    makeCgroup(`${root}${path}`);
    for (const [name, value] of Object.entries(attributes))
      setXattr(`${root}${path}`, { name: Buffer.from(name), value: Buffer.from(value, "base64") });
  }
  ownTree(root, tree);
}

/** Puts owners right; once more when controllers have been switched on and brought files of their own. */
export function ownTree(root: string, tree: readonly CgroupNode[]): void {
  for (const { path, uid, gid, files } of tree) {
    const dir = `${root}${path}`;
    const others = new Map(files.map(([name, fileUid, fileGid]) => [name, [fileUid, fileGid] as const]));
    ignoreGone(() => {
      chownSync(dir, uid, gid);
      for (const entry of readdirSync(dir, { withFileTypes: true })) {
        if (entry.isDirectory()) continue;
        const [fileUid, fileGid] = others.get(entry.name) ?? [uid, gid];
        chownSync(`${dir}/${entry.name}`, fileUid, fileGid);
      }
    });
  }
}

/** The guest is free to remove its cgroups while we look. */
function ignoreGone(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "ENODEV") throw error;
  }
}

/** Records for a restore: what is written once the guest's init is in its own cgroup. */
export const treeRecords = (root: string, tree: readonly CgroupNode[]): PlanRecord[] =>
  tree.flatMap(({ path, values }) =>
    Object.entries(values).map(([file, value]) => ["cgroupWrite", `${root}${path}/${file}`, value] as const),
  );
