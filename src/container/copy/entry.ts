/**
 * Single entries of trees that somebody else may change meanwhile: a directory is an open descriptor, an entry in it a
 * name of bytes without a slash. No symbolic link is followed.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  type Stats,
  unlinkSync,
  writeSync,
} from "node:fs";
import { asBerthError, BerthError, describeErrno, errnoOf } from "../../base/errors.ts";
import { nextData } from "../../kernel/fd.ts";
import { type Resolve, tryOpenat2 } from "../../kernel/openat2.ts";
import { startTime } from "../../kernel/process.ts";
import { writeAll } from "../../kernel/terminal.ts";

/** A name in an open directory. */
export type Place = { readonly dir: number; readonly name: Uint8Array };

export type Attributes = {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** Of the last access and change; now when undefined. */
  readonly times: Pick<Stats, "atime" | "mtime"> | undefined;
};

/** A path of one component below a descriptor: there is nothing in it to be led astray by. */
export const anchored = ({ dir, name }: Place): Buffer =>
  Buffer.concat([Buffer.from(`/proc/self/fd/${dir}/`), name]);

const ENOENT = 2;
const ENOTDIR = 20;
const ELOOP = 40;

/** Names in an open directory. */
export const namesIn = (dir: number): readonly Uint8Array[] =>
  readdirSync(`/proc/self/fd/${dir}`, { encoding: "buffer" });

/** The directory of that name to go on in; undefined when there is nothing. Throws when it is something else. */
export function enterDirectory(place: Place, resolve: Resolve, path: string): number | undefined {
  const opened = tryOpenat2(place.dir, place.name, constants.O_RDONLY | constants.O_DIRECTORY, resolve);
  if ("fd" in opened) return opened.fd;
  if (opened.errno === ENOENT) return undefined;
  const what =
    opened.errno === ENOTDIR || opened.errno === ELOOP
      ? "a file or link stands where a directory should be"
      : describeErrno(opened.errno);
  throw new BerthError("host.io", `${path}: ${what}`, "remove it, or copy to another place");
}

/** Gives an open file or directory its owner, mode and times. */
export function setAttributes(fd: number, { uid, gid, mode, times }: Attributes): void {
  fchownSync(fd, uid, gid);
  fchmodSync(fd, mode);
  if (times !== undefined) futimesSync(fd, times.atime, times.mtime);
}

/** A new file of that name, to be written; fails where there is anything. */
export const createFile = (place: Place): number =>
  openSync(
    anchored(place),
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  );

const CHUNK = 1 << 18;

/** Told of each piece copied; throws to end it. */
export type Step = (bytes: number) => Promise<void>;

/**
 * Copies at most `limit` bytes; `step` is told of each piece and may end it by throwing. Holes stay holes: a guest's
 * file of many terabytes may take none.
 */
export async function copyContent(from: number, to: number, limit: number, step: Step): Promise<number> {
  const chunk = Buffer.alloc(CHUNK);
  let length = 0;
  let written = 0;
  while (length < limit) {
    length = Math.min(nextData(from, length), limit);
    const count = readSync(from, chunk, 0, Math.min(CHUNK, limit - length), length);
    if (count === 0) break;
    for (let done = 0; done < count; ) done += writeSync(to, chunk, done, count - done, length + done);
    length += count;
    written = length;
    await step(count);
  }
  if (length > written) ftruncateSync(to, length);
  return length;
}

/** Copies at most `limit` bytes to a stream; gives how many. */
export async function pour(from: number, to: number, limit: number, step: Step): Promise<number> {
  const chunk = Buffer.alloc(CHUNK);
  let length = 0;
  while (length < limit) {
    const count = readSync(from, chunk, 0, Math.min(CHUNK, limit - length), null);
    if (count === 0) break;
    writeAll(to, chunk.subarray(0, count));
    length += count;
    await step(count);
  }
  return length;
}

const PREFIX = ".berth-cp-";
let temporaries = 0;

/**
 * Makes an entry under a name of the moment and renames it: what stood there before stays until the new one is whole.
 * A failure leaves nothing.
 */
export async function placed(
  place: Place,
  path: string,
  make: (fresh: Place) => Promise<void>,
): Promise<void> {
  temporaries += 1;
  const name = Buffer.from(`${PREFIX}${process.pid}-${startTime(process.pid)}-${temporaries}`);
  const fresh = { dir: place.dir, name };
  try {
    await make(fresh);
    renameOver(fresh, place, path);
  } catch (error) {
    removeTree(fresh);
    throw error;
  }
}

function renameOver(fresh: Place, place: Place, path: string): void {
  try {
    renameSync(anchored(fresh), anchored(place));
  } catch (error) {
    const errno = errnoOf(error);
    const why =
      errno === "EISDIR" || errno === "ENOTEMPTY"
        ? "a directory stands there"
        : errno === "ENOTDIR"
          ? "a file stands there, where a directory should be"
          : asBerthError(error).message;
    throw new BerthError("host.io", `${path}: ${why}`, "remove it, or copy to another place", error);
  }
}

/** Removes what commands that were killed left in a directory. */
export function sweep(dir: number): void {
  for (const name of namesIn(dir)) {
    const [, pid, since] = /^\.berth-cp-(\d+)-(\d+)-\d+$/.exec(Buffer.from(name).toString("latin1")) ?? [];
    if (pid !== undefined && startTime(Number(pid)) !== Number(since)) removeTree({ dir, name });
  }
}

/** Removes whatever has that name with all that is below, going from directory to directory by descriptors. */
function removeTree(place: Place): void {
  const path = anchored(place);
  try {
    unlinkSync(path);
    return;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") return;
    if (errno !== "EISDIR" && errno !== "EPERM") throw error;
  }
  const dir = enterDirectory(place, "oneMount", Buffer.from(place.name).toString());
  if (dir === undefined) return;
  try {
    for (const name of namesIn(dir)) removeTree({ dir, name });
  } finally {
    closeSync(dir);
  }
  rmdirSync(path);
}
