/** Makes the inode of a member at its anchored path, in place of what the archive had there before. */
import {
  closeSync,
  constants,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { BerthError, errnoOf } from "../../base/errors.ts";
import { formatSize } from "../../base/units.ts";
import { makeNode } from "../../kernel/inode.ts";
import { quoteName, refused } from "./damaged.ts";
import type { Member, Piece } from "./member.ts";
import type { Unpacking } from "./unpack.ts";

/** What an inode costs a disk besides its content, roughly. */
const INODE_COST = 512;

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * A directory that is there stays, with what it holds. Anything else in its place goes, a link to a directory too:
 * the archive's last word holds, and nothing was ever put behind that link.
 */
export function makeDirectory(path: Buffer, state: Unpacking): void {
  takeSpace(INODE_COST, state);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    if (lstatSync(path).isDirectory()) return;
    unlinkSync(path);
    mkdirSync(path, { mode: 0o700 });
  }
}

/** A regular file with its content, holes kept. */
export async function makeFile(path: Buffer, member: Member, state: Unpacking): Promise<void> {
  await writeFresh(path, member, member.size, member.content(), state);
}

/** A symbolic link. */
export function makeLink(path: Buffer, member: Member, state: Unpacking): void {
  if (member.link.length === 0)
    throw refused(`member ${quoteName(member.name)} is refused: it is a link to nothing`);
  takeSpace(INODE_COST, state);
  inPlace(path, member, state, () => symlinkSync(member.link, path));
}

/** A device, fifo or socket that policy keeps. */
export function placeNode(path: Buffer, member: Member, state: Unpacking): void {
  const { type } = member;
  if (type !== "char" && type !== "block" && type !== "fifo" && type !== "socket") return;
  takeSpace(INODE_COST, state);
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) clear(path, member, state);
  makeNode(path, type, member.major, member.minor);
}

/** A new regular file of `size` bytes from pieces; limits hold before anything is written. */
export async function writeFresh(
  path: Buffer,
  member: Member,
  size: number,
  pieces: AsyncIterable<Piece> | Iterable<Piece>,
  state: Unpacking,
): Promise<void> {
  takeSize(size, member, state);
  takeSpace(INODE_COST, state);
  const fd = inPlace(path, member, state, () => openSync(path, NEW_FILE, 0o600));
  try {
    let end = 0;
    for await (const { at, bytes } of pieces) {
      takeSpace(bytes.length, state);
      writeAt(fd, bytes, at);
      end = at + bytes.length;
    }
    if (end < size) ftruncateSync(fd, size);
  } finally {
    closeSync(fd);
  }
}

function writeAt(fd: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, at + done);
}

/** Makes it; what is in its place goes first, unless that is a directory which holds something. */
export function inPlace<T>(path: Buffer, member: Member, state: Unpacking, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  clear(path, member, state);
  return make();
}

function clear(path: Buffer, member: Member, state: Unpacking): void {
  if (!dropEmptyDirectory(path, member, state)) unlinkSync(path);
}

/** Whether a directory was in the place; it is gone then. */
export function dropEmptyDirectory(path: Buffer, member: Member, state: Unpacking): boolean {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
  dropDirectory(path, member, state);
  return true;
}

function dropDirectory(path: Buffer, member: Member, state: Unpacking): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOTEMPTY") throw error;
    throw refused(
      `member ${quoteName(member.name)} is refused: the archive has a directory of that name that holds something`,
    );
  }
  state.sources.forget();
}

function takeSize(bytes: number, member: Member, state: Unpacking): void {
  state.size += bytes;
  if (state.size > state.limits.size)
    throw refused(
      `with member ${quoteName(member.name)} the archive is larger than ${formatSize(state.limits.size)}`,
      "if that is right, allow more with --max-size",
    );
}

function takeSpace(bytes: number, state: Unpacking): void {
  state.written += bytes;
  if (state.written > state.limits.space)
    throw new BerthError(
      "host.no-space",
      `the archive needs more than the ${formatSize(state.limits.space)} that the file system of the templates can spare`,
      "free some space there, then try again",
    );
}
