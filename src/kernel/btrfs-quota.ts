/**
 * Simple quota of btrfs (Linux 6.7): what is written counts for the subvolume that wrote it, and for the groups which
 * that belongs to. Groups by ioctl (linux/btrfs.h), their figures by /sys/fs/btrfs/UUID/qgroups.
 */
import { listIfExists, readIfExists } from "../base/files.ts";
import { btrfsCall, searchOffsets } from "./btrfs.ts";
import { withDirectory } from "./directory.ts";

const BTRFS_IOC_QUOTA_CTL = 0xc0109428;
const BTRFS_IOC_QGROUP_ASSIGN = 0x40189429;
const BTRFS_IOC_QGROUP_CREATE = 0x4010942a;
const BTRFS_IOC_QGROUP_LIMIT = 0x8030942b;
const QUOTA_CTL_ENABLE_SIMPLE_QUOTA = 4n;
const QGROUP_LIMIT_MAX_RFER = 1n;
const QUOTA_TREE = 8n;
const QGROUP_RELATION_KEY = 246;
/** No limit (fs/btrfs/qgroup.c, CLEAR_VALUE). */
const CLEAR = 2n ** 64n - 1n;

export type Group = { readonly limit: number | undefined; readonly used: number };

/** The level-0 group of a subvolume, which the kernel makes with it. */
const ownGroup = (subvolume: number): bigint => BigInt(subvolume);
/** The level-1 group: a subvolume that is made inside one of its members becomes a member too. */
const parentGroup = (id: number): bigint => (1n << 48n) | BigInt(id);

/** Turns simple quota on for the whole file system. Fails with EINVAL before Linux 6.7. */
export function enableSimpleQuota(root: string): void {
  const args = Buffer.alloc(16);
  args.writeBigUInt64LE(QUOTA_CTL_ENABLE_SIMPLE_QUOTA, 0);
  call(root, BTRFS_IOC_QUOTA_CTL, args, "cannot turn simple quota on");
}

/** Whether simple quota is on. */
export const hasSimpleQuota = (uuid: string): boolean =>
  readIfExists(`/sys/fs/btrfs/${uuid}/qgroups/mode`)?.trim() === "squota";

/** Makes the group of a subvolume in which nothing was written yet, and puts it in. */
export function createGroup(root: string, subvolume: number): void {
  group(root, parentGroup(subvolume), true);
  assign(root, ownGroup(subvolume), parentGroup(subvolume), true);
}

/** Removes the group, if it is there; its members count for nobody then. */
export function removeGroup(root: string, uuid: string, id: number): void {
  if (groupOf(uuid, id) === undefined) return;
  for (const member of membersOf(root, id)) assign(root, member, parentGroup(id), false);
  group(root, parentGroup(id), false);
}

/** A relation stands in the tree under both: those above the group have a higher level. */
const membersOf = (root: string, id: number): readonly bigint[] =>
  withDirectory(root, (fd) =>
    searchOffsets(fd, QUOTA_TREE, parentGroup(id), QGROUP_RELATION_KEY).filter(
      (other) => other < parentGroup(0),
    ),
  );

/** Sets the group's limit, at once. */
export function limitGroup(root: string, id: number, bytes: number | undefined): void {
  const args = Buffer.alloc(48);
  args.writeBigUInt64LE(parentGroup(id), 0);
  args.writeBigUInt64LE(QGROUP_LIMIT_MAX_RFER, 8);
  args.writeBigUInt64LE(bytes === undefined ? CLEAR : BigInt(bytes), 16);
  call(root, BTRFS_IOC_QGROUP_LIMIT, args, `cannot limit the group 1/${id}`);
}

/** The group's limit and what counts for it, or undefined when there is none. */
export function groupOf(uuid: string, id: number): Group | undefined {
  const dir = `/sys/fs/btrfs/${uuid}/qgroups/1_${id}`;
  const used = readIfExists(`${dir}/referenced`);
  if (used === undefined) return undefined;
  const limited = (BigInt(readIfExists(`${dir}/limit_flags`)?.trim() ?? 0) & QGROUP_LIMIT_MAX_RFER) !== 0n;
  return {
    used: Number(used),
    limit: limited ? Number(readIfExists(`${dir}/max_referenced`)) : undefined,
  };
}

/** Ids of all level-1 groups. */
export const groupIds = (uuid: string): readonly number[] =>
  listIfExists(`/sys/fs/btrfs/${uuid}/qgroups`).flatMap((name) => {
    const id = /^1_(\d+)$/.exec(name)?.[1];
    return id === undefined ? [] : [Number(id)];
  });

function group(root: string, id: bigint, create: boolean): void {
  const args = Buffer.alloc(16);
  args.writeBigUInt64LE(create ? 1n : 0n, 0);
  args.writeBigUInt64LE(id, 8);
  call(root, BTRFS_IOC_QGROUP_CREATE, args, `cannot ${create ? "make" : "remove"} the group of a volume`);
}

function assign(root: string, member: bigint, to: bigint, joins: boolean): void {
  const args = Buffer.alloc(24);
  args.writeBigUInt64LE(joins ? 1n : 0n, 0);
  args.writeBigUInt64LE(member, 8);
  args.writeBigUInt64LE(to, 16);
  call(root, BTRFS_IOC_QGROUP_ASSIGN, args, "cannot change the group of a volume");
}

function call(root: string, request: number, args: Buffer, doing: string): void {
  withDirectory(root, (fd) => btrfsCall(fd, request, args, doing));
}
