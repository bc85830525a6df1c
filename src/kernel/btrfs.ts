/** Subvolumes of btrfs, by its ioctls (linux/btrfs.h, linux/btrfs_tree.h); numbers are those of x86_64 and arm64. */
import { BerthError, describeErrno } from "../base/errors.ts";
import { withDirectory } from "./directory.ts";
import { errno, libc, ptr } from "./libc.ts";

const BTRFS_IOC_TREE_SEARCH = 0xd0009411;
const BTRFS_IOC_INO_LOOKUP = 0xd0009412;
const BTRFS_IOC_SNAP_CREATE_V2 = 0x50009417;
const BTRFS_IOC_SUBVOL_CREATE_V2 = 0x50009418;
const BTRFS_IOC_FS_INFO = 0x8400941f;
const BTRFS_IOC_SNAP_DESTROY_V2 = 0x5000943f;
/** struct btrfs_ioctl_vol_args_v2, btrfs_ioctl_search_args and btrfs_ioctl_ino_lookup_args. */
const ARGS_SIZE = 4096;
const VOLUME = { fd: 0, flags: 16, nameOrId: 56 } as const;
const SUBVOL_SPEC_BY_ID = 1n << 4n;
/** struct btrfs_ioctl_search_key and struct btrfs_ioctl_search_header. */
const KEY = {
  tree: 0,
  minObject: 8,
  maxObject: 16,
  minOffset: 24,
  maxOffset: 32,
  maxTransid: 48,
  minType: 56,
  maxType: 60,
  items: 64,
} as const;
const KEY_SIZE = 104;
const HEADER = { offset: 16, length: 28, size: 32 } as const;
const ROOT_TREE = 1n;
const ROOT_REF_KEY = 156;
const FIRST_FREE_OBJECT = 256n;
const ALL = 2n ** 64n - 1n;
const ENOSPC = 28;
const EDQUOT = 122;
const FS_INFO_SIZE = 1024;
const FS_INFO_UUID = 16;

/** Makes an empty subvolume in a directory. */
export function createSubvolume(directory: string, name: string): void {
  const args = Buffer.alloc(ARGS_SIZE);
  args.write(name, VOLUME.nameOrId);
  withDirectory(directory, (fd) =>
    btrfsCall(fd, BTRFS_IOC_SUBVOL_CREATE_V2, args, `cannot make the subvolume ${directory}/${name}`),
  );
}

/** Makes a subvolume that holds what another one holds at this moment. */
export function snapshotSubvolume(source: string, directory: string, name: string): void {
  withDirectory(source, (from) => {
    const args = Buffer.alloc(ARGS_SIZE);
    args.writeBigInt64LE(BigInt(from), VOLUME.fd);
    args.write(name, VOLUME.nameOrId);
    withDirectory(directory, (fd) =>
      btrfsCall(fd, BTRFS_IOC_SNAP_CREATE_V2, args, `cannot make the snapshot ${directory}/${name}`),
    );
  });
}

/** Removes a subvolume, found by its id and not by a path, with all subvolumes below it. */
export function destroySubvolume(root: string, id: number): void {
  withDirectory(root, (fd) => {
    for (const one of [...treeOf(fd, id)].reverse()) {
      const args = Buffer.alloc(ARGS_SIZE);
      args.writeBigUInt64LE(SUBVOL_SPEC_BY_ID, VOLUME.flags);
      args.writeBigUInt64LE(BigInt(one), VOLUME.nameOrId);
      btrfsCall(fd, BTRFS_IOC_SNAP_DESTROY_V2, args, `cannot remove the subvolume ${one} of ${root}`);
    }
  });
}

/** The id of the subvolume that a directory lies in. */
export function subvolumeId(directory: string): number {
  const args = Buffer.alloc(ARGS_SIZE);
  args.writeBigUInt64LE(FIRST_FREE_OBJECT, 8);
  withDirectory(directory, (fd) =>
    btrfsCall(fd, BTRFS_IOC_INO_LOOKUP, args, `cannot ask for the subvolume of ${directory}`),
  );
  return Number(args.readBigUInt64LE(0));
}

/** The UUID of the file system that a directory lies on, as /sys/fs/btrfs spells it. */
export function btrfsUuid(directory: string): string {
  const info = Buffer.alloc(FS_INFO_SIZE);
  withDirectory(directory, (fd) =>
    btrfsCall(fd, BTRFS_IOC_FS_INFO, info, `cannot ask for the file system of ${directory}`),
  );
  const hex = info.toString("hex", FS_INFO_UUID, FS_INFO_UUID + 16);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The subvolume and those below it, each before its own. */
function treeOf(fd: number, id: number): ReadonlySet<number> {
  const found = new Set([id]);
  // A set is walked in the order of insertion, what is added meanwhile too.
  for (const one of found) for (const child of childrenOf(fd, one)) found.add(child);
  return found;
}

/** Ids of the subvolumes that lie in this one: the tree of roots refers from each to its children. */
const childrenOf = (fd: number, id: number): readonly number[] =>
  searchOffsets(fd, ROOT_TREE, BigInt(id), ROOT_REF_KEY).map(Number);

/** The third parts of all keys in a tree that begin with this object and type. */
export function searchOffsets(fd: number, tree: bigint, object: bigint, type: number): readonly bigint[] {
  const found: bigint[] = [];
  for (let from = 0n; ; ) {
    const page = searchPage(fd, tree, object, type, from);
    found.push(...page);
    const last = page.at(-1);
    if (last === undefined) return found;
    from = last + 1n;
  }
}

function searchPage(fd: number, tree: bigint, object: bigint, type: number, from: bigint): readonly bigint[] {
  const args = Buffer.alloc(ARGS_SIZE);
  args.writeBigUInt64LE(tree, KEY.tree);
  for (const at of [KEY.minObject, KEY.maxObject]) args.writeBigUInt64LE(object, at);
  args.writeBigUInt64LE(from, KEY.minOffset);
  for (const at of [KEY.maxOffset, KEY.maxTransid]) args.writeBigUInt64LE(ALL, at);
  for (const at of [KEY.minType, KEY.maxType]) args.writeUInt32LE(type, at);
  args.writeUInt32LE(ARGS_SIZE, KEY.items);
  btrfsCall(fd, BTRFS_IOC_TREE_SEARCH, args, `cannot search tree ${tree}`);
  const offsets: bigint[] = [];
  for (let at = KEY_SIZE, left = args.readUInt32LE(KEY.items); left > 0; left -= 1) {
    offsets.push(args.readBigUInt64LE(at + HEADER.offset));
    at += HEADER.size + args.readUInt32LE(at + HEADER.length);
  }
  return offsets;
}

/** One ioctl; its failure is storage.failed saying what was being done. */
export function btrfsCall(fd: number, request: number, args: Buffer, doing: string): void {
  if (libc().ioctl(fd, request, ptr(args)) === 0) return;
  const code = errno();
  const full = code === ENOSPC || code === EDQUOT;
  throw new BerthError(
    full ? "host.no-space" : "storage.failed",
    `${doing}: ${describeErrno(code)}`,
    full ? "`berth pool grow`, or remove containers" : "`berth pool check` tells more",
  );
}
