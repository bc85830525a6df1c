/**
 * A tree as members of a POSIX tar. Nobody may write to the tree meanwhile, unless it is said to be live. Names are the tree's own bytes, nothing of it is
 * followed; hard links stay links, holes stay holes (GNU's sparse format 1.0), times keep their fractions.
 */
import { closeSync, constants, openSync, readlinkSync, readSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { BerthError } from "../../base/errors.ts";
import { type Xattr, xattrsOf } from "../../kernel/xattr.ts";
import { dataExtents } from "./file-extents.ts";
import { type Header, memberHeader, type PaxPair, padding, plainHeader } from "./tar-block.ts";
import { BLOCK } from "./tar-header.ts";
import type { Extent } from "./tar-sparse.ts";
import { ifThere, type TreeEntry, treeEntries } from "./tree-entries.ts";

const CHUNK = 1 << 20;

/** Takes the archive's bytes, which the caller may change once it has returned. */
export type Write = (bytes: Uint8Array) => Promise<void>;

export type TreeRules = {
  /** Before each name: "./", "rootfs/". */
  readonly prefix: string;
  /** The owner in the archive. */
  readonly owner: (id: number) => number;
  /** An attribute as the archive shall have it; undefined leaves it out. */
  readonly xattr: (xattr: Xattr) => Xattr | undefined;
  /** Whether an entry is left out, with all below it. */
  readonly leaveOut?: (entry: TreeEntry) => boolean;
  /** Whether an entry is passed over, but not what lies below it. */
  readonly passOver?: (entry: TreeEntry) => boolean;
  /** Told how many bytes of content were read. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
  /** Somebody writes to the tree: what goes away is left out, what becomes shorter ends in zeros. Its ctime tells. */
  readonly live?: boolean;
};

/** Writes the root and every entry below it. `signal` ends it between entries. */
export async function writeTree(root: string, write: Write, rules: TreeRules): Promise<void> {
  const links = new Map<string, Buffer>();
  let entries = 0;
  for (const entry of treeEntries(root, rules.leaveOut, rules.live)) {
    if (rules.passOver?.(entry) !== true) await writeEntry(entry, write, rules, links);
    entries += 1;
    if (entries % 256 === 0) {
      await setImmediate();
      rules.signal?.throwIfAborted();
    }
  }
}

async function writeEntry(
  entry: TreeEntry,
  write: Write,
  rules: TreeRules,
  links: Map<string, Buffer>,
): Promise<void> {
  const { path, stat } = entry;
  const live = rules.live === true;
  const header = ifThere(() => headerOf(entry, rules), live);
  if (header === undefined) return;
  if (stat.nlink > 1n && !stat.isDirectory()) {
    const inode = `${stat.dev} ${stat.ino}`;
    const first = links.get(inode);
    if (first !== undefined) return await write(memberHeader({ ...header, type: "1", link: first }));
    links.set(inode, header.name);
  }
  const records = ifThere(() => xattrsOf(path).flatMap((xattr) => recordOf(rules.xattr(xattr))), live) ?? [];
  if (stat.isFile()) await writeFile(path, header, records, Number(stat.blocks), write, rules);
  else await write(memberHeader({ ...header, size: 0 }, records));
}

function recordOf(xattr: Xattr | undefined): readonly PaxPair[] {
  return xattr === undefined
    ? []
    : [[Buffer.concat([Buffer.from("SCHILY.xattr."), xattr.name]), xattr.value]];
}

function headerOf({ path, relative, stat }: TreeEntry, { prefix, owner }: TreeRules): Header {
  const name = Buffer.concat([Buffer.from(prefix), relative]);
  const isInner = stat.isDirectory() && relative.length > 0;
  return {
    name: isInner ? Buffer.concat([name, Buffer.from("/")]) : name,
    type: typeOf(stat, path),
    mode: Number(stat.mode) & 0o7777,
    uid: owner(Number(stat.uid)),
    gid: owner(Number(stat.gid)),
    size: Number(stat.size),
    mtime: stat.mtimeNs,
    link: stat.isSymbolicLink() ? readlinkSync(path, { encoding: "buffer" }) : plainHeader.link,
  };
}

function typeOf(stat: TreeEntry["stat"], path: Buffer): Header["type"] {
  if (stat.isDirectory()) return "5";
  if (stat.isFile()) return "0";
  if (stat.isSymbolicLink()) return "2";
  if (stat.isFIFO()) return "6";
  if (stat.isCharacterDevice() && stat.rdev === 0n) return "3";
  throw new BerthError("storage.failed", `${path} is a device or socket, which no archive of berth's holds`);
}

/** A guest that runs may have put a pipe in its place: that is not waited for. */
const OPEN_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

async function writeFile(
  path: Buffer,
  header: Header,
  records: readonly PaxPair[],
  blocks: number,
  write: Write,
  rules: TreeRules,
): Promise<void> {
  if (header.size === 0) return await write(memberHeader(header, records));
  const open = (): number => openSync(path, OPEN_FILE);
  const fd = ifThere(open, rules.live === true);
  // An empty file in its place: other names of it may refer to this one.
  if (fd === undefined) return await write(memberHeader({ ...header, size: 0 }, records));
  try {
    const { size } = header;
    const extents = dataExtents(fd, { size, blocks });
    if (extents === undefined) {
      await write(memberHeader(header, records));
      await writeExtents(fd, path, [{ offset: 0, length: size }], write, rules);
    } else await writeSparse(fd, path, header, records, extents, write, rules);
  } finally {
    closeSync(fd);
  }
}

/** GNU's PAX format 1.0: real name and size in records, the map before the data ("Storing Sparse Files", GNU tar manual). */
async function writeSparse(
  fd: number,
  path: Buffer,
  header: Header,
  records: readonly PaxPair[],
  extents: readonly Extent[],
  write: Write,
  rules: TreeRules,
): Promise<void> {
  // The empty part at the end tells where the file ends, for those who look at the map alone.
  const parts = [...extents, { offset: header.size, length: 0 }];
  const lines = [parts.length, ...parts.flatMap(({ offset, length }) => [offset, length])];
  const map = Buffer.from(`${lines.join("\n")}\n`);
  const stored = extents.reduce((sum, { length }) => sum + length, 0);
  const size = map.length + padding(map.length) + stored;
  const about: readonly (readonly [string, string | Buffer])[] = [
    ["GNU.sparse.major", "1"],
    ["GNU.sparse.minor", "0"],
    ["GNU.sparse.name", header.name],
    ["GNU.sparse.realsize", String(header.size)],
  ];
  const sparse = about.map(([key, value]): PaxPair => [Buffer.from(key), Buffer.from(value)]);
  const base = header.name.subarray(header.name.lastIndexOf(0x2f) + 1);
  // No longer than a header's own field: its real name is in the record.
  const name = Buffer.concat([Buffer.from("GNUSparseFile.0/"), base]).subarray(0, 100);
  await write(memberHeader({ ...header, name, size }, [...sparse, ...records]));
  await write(map);
  await write(Buffer.alloc(padding(map.length)));
  await writeExtents(fd, path, extents, write, rules);
}

/** Exactly what the header says, whatever the file does meanwhile, filled up to a whole block. */
async function writeExtents(
  fd: number,
  path: Buffer,
  extents: readonly Extent[],
  write: Write,
  { onBytes, signal, live }: TreeRules,
): Promise<void> {
  const stored = extents.reduce((sum, { length }) => sum + length, 0);
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(BLOCK, stored)));
  for (const { offset, length } of extents)
    for (let done = 0; done < length; ) {
      const wanted = Math.min(chunk.length, length - done);
      const read = readSync(fd, chunk, 0, wanted, offset + done);
      const got = read === 0 && live === true ? wanted : read;
      if (read === 0 && live === true) chunk.fill(0, 0, wanted);
      if (got === 0) throw new BerthError("storage.failed", `${path} became shorter while it was read`);
      await write(chunk.subarray(0, got));
      done += got;
      onBytes?.(got);
      signal?.throwIfAborted();
    }
  await write(Buffer.alloc(padding(stored)));
}
