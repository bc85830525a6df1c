/**
 * The digest of a template: sha256 over the tree itself, not over an archive of it, so that two hosts agree on it
 * however the tree came to them. It covers path, type, mode, owner, extended attributes, content and link targets;
 * not times, inode numbers or the order on disk.
 *
 * One record an entry, in byte order of the paths as a depth-first walk gives them (each directory's names sorted):
 *   path NUL type SP octal-mode SP uid SP gid SP size LF
 *   { xattr-name NUL length SP value } LF
 *   content: 32 bytes sha256 of a regular file, the target of a symbolic link, "major:minor" of a device; LF
 */
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  type Stats,
} from "node:fs";
import { setImmediate } from "node:timers/promises";
import { xattrsOf } from "../kernel/xattr.ts";

export type TreeDigest = {
  /** 64 hex digits. */
  readonly digest: string;
  /** Bytes of all regular files. */
  readonly size: number;
  /** Entries below the root. */
  readonly entries: number;
};

const CHUNK = 1 << 20;
const SLASH = Buffer.from("/");
const LF = Buffer.from("\n");

export type Entry = { readonly path: Buffer; readonly relative: Buffer; readonly stat: Stats };

/** Every entry below `root`, directories before what they hold, names in byte order. Links are not followed. */
export function* walk(root: string): Generator<Entry> {
  yield* below(Buffer.from(root), Buffer.alloc(0));
}

function* below(path: Buffer, relative: Buffer): Generator<Entry> {
  for (const name of readdirSync(path, { encoding: "buffer" }).sort(Buffer.compare)) {
    const child = Buffer.concat([path, SLASH, name]);
    const inside = relative.length === 0 ? name : Buffer.concat([relative, SLASH, name]);
    const stat = lstatSync(child);
    yield { path: child, relative: inside, stat };
    if (stat.isDirectory()) yield* below(child, inside);
  }
}

/** The digest of the tree at `root`. The event loop is let through now and then; `signal` ends it. */
export async function digestTree(root: string, signal?: AbortSignal): Promise<TreeDigest> {
  const hash = new Bun.CryptoHasher("sha256");
  const start: Entry = { path: Buffer.from(root), relative: Buffer.from("."), stat: lstatSync(root) };
  addEntry(hash, start);
  let size = 0;
  let entries = 0;
  for (const entry of walk(root)) {
    addEntry(hash, entry);
    entries += 1;
    if (entry.stat.isFile()) size += entry.stat.size;
    if (entries % 256 === 0) {
      await setImmediate();
      signal?.throwIfAborted();
    }
  }
  return { digest: hash.digest("hex"), size, entries };
}

function addEntry(hash: Bun.CryptoHasher, { path, relative, stat }: Entry): void {
  const size = stat.isFile() ? stat.size : 0;
  hash.update(relative);
  hash.update(`\0${typeOf(stat)} ${(stat.mode & 0o7777).toString(8)} ${stat.uid} ${stat.gid} ${size}\n`);
  for (const { name, value } of xattrsOf(path)) {
    hash.update(name);
    hash.update(`\0${value.length} `);
    hash.update(value);
  }
  hash.update(LF);
  if (stat.isFile()) hash.update(contentHash(path, stat.size));
  else if (stat.isSymbolicLink()) hash.update(readlinkSync(path, { encoding: "buffer" }));
  else if (stat.isBlockDevice() || stat.isCharacterDevice()) hash.update(deviceNumber(stat.rdev));
  hash.update(LF);
}

function typeOf(stat: Stats): string {
  if (stat.isFile()) return "f";
  if (stat.isDirectory()) return "d";
  if (stat.isSymbolicLink()) return "l";
  if (stat.isCharacterDevice()) return "c";
  if (stat.isBlockDevice()) return "b";
  return stat.isFIFO() ? "p" : "s";
}

/** "major:minor" (bits as in linux/kdev_t.h, new encoding). */
function deviceNumber(rdev: number): string {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return `${major}:${minor}`;
}

function contentHash(path: Buffer, size: number): Uint8Array {
  const hash = new Bun.CryptoHasher("sha256");
  if (size <= CHUNK) return hash.update(readFileSync(path)).digest();
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const chunk = Buffer.allocUnsafe(CHUNK);
    for (let got = readSync(fd, chunk); got > 0; got = readSync(fd, chunk))
      hash.update(chunk.subarray(0, got));
  } finally {
    closeSync(fd);
  }
  return hash.digest();
}
