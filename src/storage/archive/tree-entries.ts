/**
 * The entries of a tree, at any depth: one name at a time below a directory's fd, so that neither
 * the length of a path nor a link in the tree matters. Memory is the names of the directories on the way.
 */
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readdirSync } from "node:fs";
import { BerthError, errnoOf } from "../../base/errors.ts";
import { O_PATH } from "../../kernel/openat2.ts";

export type TreeEntry = {
  /** Opens or looks at the entry itself; good until the next one is asked for. */
  readonly path: Buffer;
  /** From the tree's root; empty for the root itself. */
  readonly relative: Buffer;
  readonly stat: BigIntStats;
  /** How many directories it lies in. */
  readonly depth: number;
};

type Level = {
  readonly names: readonly Buffer[];
  readonly relative: Buffer;
  readonly id: string;
  next: number;
};

const DIRECTORY = O_PATH | constants.O_DIRECTORY;
const SLASH = Buffer.from("/");

/**
 * The root, then everything below it: directories before what they hold, names in byte order. What `leaveOut` says is passed
 * over, with all below it. Nobody may write to the tree meanwhile, unless it is `live`: then what goes away is passed over.
 */
export function* treeEntries(
  root: string,
  leaveOut: (entry: TreeEntry) => boolean = () => false,
  live = false,
): Generator<TreeEntry> {
  let fd = openSync(root, DIRECTORY);
  try {
    const top = lstatSync(anchor(fd), { bigint: true });
    yield { path: anchor(fd), relative: Buffer.alloc(0), stat: top, depth: 0 };
    const levels = [levelOf(fd, Buffer.alloc(0), top)];
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const name = level.names[level.next++];
      if (name === undefined) {
        levels.pop();
        const above = levels.at(-1);
        if (above !== undefined) fd = exchange(fd, DOT_DOT, above.id);
        continue;
      }
      const path = Buffer.concat([anchor(fd), name]);
      const relative = level.relative.length === 0 ? name : Buffer.concat([level.relative, SLASH, name]);
      const stat = ifThere(() => lstatSync(path, { bigint: true }), live);
      if (stat === undefined) continue;
      const entry = { path, relative, stat, depth: levels.length };
      if (leaveOut(entry)) continue;
      yield entry;
      if (!stat.isDirectory()) continue;
      const inner = ifThere(() => exchange(fd, name, idOf(stat)), live);
      if (inner === undefined) continue;
      fd = inner;
      levels.push(levelOf(fd, relative, stat));
    }
  } finally {
    closeSync(fd);
  }
}

/** What `work` gives; undefined where its entry has just gone from a live tree. */
export function ifThere<T>(work: () => T, live: boolean): T | undefined {
  try {
    return work();
  } catch (error) {
    if (live && errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

const DOT_DOT = Buffer.from("..");

const anchor = (fd: number): Buffer => Buffer.from(`/proc/self/fd/${fd}/`);

const idOf = ({ dev, ino }: BigIntStats): string => `${dev} ${ino}`;

function levelOf(fd: number, relative: Buffer, stat: BigIntStats): Level {
  // One that was removed after it was opened is empty, whatever the file system says of it.
  const found = ifThere(() => readdirSync(anchor(fd), { encoding: "buffer" }), true) ?? [];
  const names = found.sort(Buffer.compare);
  return { names, relative, id: idOf(stat), next: 0 };
}

/** Steps from one directory to another, which must be the one that was seen. */
function exchange(fd: number, name: Buffer, id: string): number {
  const next = openSync(Buffer.concat([anchor(fd), name]), DIRECTORY | constants.O_NOFOLLOW);
  if (idOf(lstatSync(anchor(next), { bigint: true })) === id) {
    closeSync(fd);
    return next;
  }
  closeSync(next);
  throw new BerthError("storage.failed", "a tree changed while it was read", "try again");
}
