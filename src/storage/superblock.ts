/** The superblock of an ext4 image, read without mounting it (fs/ext4/ext4.h, struct ext4_super_block; little endian). */
import { closeSync, openSync, readSync } from "node:fs";
import { BerthError } from "../base/errors.ts";

export type Superblock = {
  readonly blockSize: number;
  readonly blocks: number;
  readonly freeBlocks: number;
  /** Blocks of the file system's own tables and journal. */
  readonly overhead: number;
  readonly inodes: number;
  readonly freeInodes: number;
  /** Volume label. */
  readonly label: string;
  /** Whether it counts for users and groups. */
  readonly userQuota: boolean;
  /** Whether its journal holds what must be replayed. */
  readonly needsRecovery: boolean;
};

const OFFSET = 1024;
const SIZE = 1024;
const MAGIC = 0xef53;
const RO_COMPAT_QUOTA = 0x100;
const INCOMPAT_RECOVER = 0x4;
const INCOMPAT_64BIT = 0x80;

/** Fails with storage.failed when the file holds no ext4. A mounted file system brings its counts up to date only now and then. */
export function readSuperblock(image: string): Superblock {
  const bytes = Buffer.alloc(SIZE);
  const fd = openSync(image, "r");
  try {
    readSync(fd, bytes, 0, SIZE, OFFSET);
  } finally {
    closeSync(fd);
  }
  if (bytes.readUInt16LE(0x38) !== MAGIC)
    throw new BerthError(
      "storage.failed",
      `${image} holds no ext4 file system`,
      "restore it from a backup, or remove the container",
    );
  const wide = (bytes.readUInt32LE(0x60) & INCOMPAT_64BIT) !== 0;
  const count = (low: number, high: number): number =>
    bytes.readUInt32LE(low) + (wide ? bytes.readUInt32LE(high) * 2 ** 32 : 0);
  return {
    blockSize: 1024 << bytes.readUInt32LE(0x18),
    blocks: count(0x04, 0x150),
    freeBlocks: count(0x0c, 0x158),
    overhead: bytes.readUInt32LE(0x248),
    inodes: bytes.readUInt32LE(0x00),
    freeInodes: bytes.readUInt32LE(0x10),
    userQuota: (bytes.readUInt32LE(0x64) & RO_COMPAT_QUOTA) !== 0,
    needsRecovery: (bytes.readUInt32LE(0x60) & INCOMPAT_RECOVER) !== 0,
    label: bytes.toString("latin1", 0x78, 0x88).replace(/\0.*$/s, ""),
  };
}
