/**
 * A directory as members of an archive: copied by the same unpacker and under the same rules as one. It is walked by
 * fds, no link is followed, and it stays on one file system; files that change meanwhile are copied as they were met.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  type Stats,
} from "node:fs";
import { setImmediate } from "node:timers/promises";
import { errnoOf } from "../../base/errors.ts";
import type { Progress } from "../../base/progress.ts";
import { xattrsOf } from "../../kernel/xattr.ts";
import { dataOf } from "../archive/file-data.ts";
import type { Member, MemberType, Piece } from "../archive/member.ts";

const NOWHERE = Buffer.alloc(0);

/** The members below `root`, itself first. What vanishes while it is walked is left out. */
export async function* directoryMembers(root: string, progress: Progress): AsyncGenerator<Member> {
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { dev } = fstatSync(fd);
    yield memberOf(Buffer.from(`/proc/self/fd/${fd}/.`), Buffer.from("."), fstatSync(fd));
    let count = 0;
    for (const member of below(fd, Buffer.from("."), dev)) {
      yield member;
      count += 1;
      if (count % 256 !== 0) continue;
      await setImmediate();
      progress.signal.throwIfAborted();
      progress.emit({ type: "advance", label: "copying it", done: count, total: undefined, unit: "items" });
    }
  } finally {
    closeSync(fd);
  }
}

function* below(fd: number, inside: Buffer, dev: number): Generator<Member> {
  for (const name of readdirSync(`/proc/self/fd/${fd}`, { encoding: "buffer" }).sort(Buffer.compare)) {
    const path = Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]);
    const relative = Buffer.concat([inside, Buffer.from("/"), name]);
    const stat = unlessGone(() => lstatSync(path));
    if (stat === undefined) continue;
    if (!stat.isDirectory()) {
      const member = unlessGone(() => memberOf(path, relative, stat));
      if (member !== undefined) yield member;
      continue;
    }
    const child = unlessGone(() =>
      openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW),
    );
    if (child === undefined) continue;
    try {
      yield memberOf(path, relative, fstatSync(child));
      // What is mounted there is another tree: its directory stays, empty.
      if (fstatSync(child).dev === dev) yield* below(child, relative, dev);
    } finally {
      closeSync(child);
    }
  }
}

/** Undefined when it vanished, or became something else, since its name was read. */
function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ELOOP" || errno === "EINVAL")
      return undefined;
    throw error;
  }
}

function memberOf(path: Buffer, name: Buffer, stat: Stats): Member {
  const type = typeOf(stat);
  return {
    name,
    type,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    size: type === "file" ? stat.size : 0,
    mtime: { seconds: Math.floor(stat.mtimeMs / 1000), nanoseconds: Math.floor((stat.mtimeMs % 1000) * 1e6) },
    link: type === "symlink" ? readlinkSync(path, { encoding: "buffer" }) : NOWHERE,
    xattrs: xattrsOf(path),
    acls: {},
    major: (stat.rdev >>> 8) & 0xfff,
    minor: (stat.rdev & 0xff) | ((stat.rdev >>> 12) & 0xfff00),
    offset: 0,
    content: () => contentOf(path, stat.size),
  };
}

function typeOf(stat: Stats): MemberType {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isCharacterDevice()) return "char";
  if (stat.isBlockDevice()) return "block";
  return stat.isFIFO() ? "fifo" : "socket";
}

/** At most the size that was announced; what is zeros only stays a hole. */
async function* contentOf(path: Buffer, size: number): AsyncGenerator<Piece> {
  // O_NONBLOCK: a fifo may have taken the file's place.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!fstatSync(fd).isFile()) return;
    yield* dataOf(fd, size);
  } finally {
    closeSync(fd);
  }
}
