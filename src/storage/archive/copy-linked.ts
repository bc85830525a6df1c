/** Hard links of an archive: to what the archive has brought already, and to nothing else. */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lchownSync,
  linkSync,
  lstatSync,
  openSync,
  readlinkSync,
  type Stats,
} from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { setTime } from "../../kernel/inode.ts";
import { setXattr, xattrsOf } from "../../kernel/xattr.ts";
import { quoteName, refused } from "./damaged.ts";
import { dataOf } from "./file-data.ts";
import type { Member } from "./member.ts";
import { memberPath, pathKey } from "./member-path.ts";
import { dropEmptyDirectory, inPlace, makeLink, writeFresh } from "./place.ts";
import type { Unpacking } from "./unpack.ts";

/** Makes the link, or a copy of what it names where policy wants no second name. The tree holds what this archive brought alone. */
export async function copyLinked(
  member: Member,
  parts: readonly Buffer[],
  path: Buffer,
  state: Unpacking,
): Promise<void> {
  const target = memberPath(member.link, member.name);
  // A link to itself has been made already; as any other it would first remove what it names.
  const there = find(target, state);
  if (there !== undefined && pathKey(target) === pathKey(parts)) return;
  if (there !== undefined) dropEmptyDirectory(path, member, state);
  // Found anew: a directory that went may have been on the way to it.
  const source = find(target, state);
  if (source === undefined) {
    if (!state.leftOut.has(pathKey(target))) throw notThere(member);
    state.nodes += 1;
    state.leftOut.add(pathKey(parts));
  } else if (state.policy.hardLinks === "keep") {
    inPlace(path, member, state, () => linkSync(source.path, path));
  } else {
    await copy(source, path, member, state);
    state.copies += 1;
  }
}

type Source = { readonly path: Buffer; readonly stat: Stats };

/** What has that name in the tree, if it is no directory; no link on the way is followed, nor the name itself. */
function find(target: readonly Buffer[], { sources }: Unpacking): Source | undefined {
  const name = target.at(-1);
  const path = name === undefined ? undefined : sources.at(target.slice(0, -1), name, false);
  if (path === undefined) return undefined;
  try {
    const stat = lstatSync(path);
    return stat.isDirectory() ? undefined : { path, stat };
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function notThere(member: Member) {
  return refused(
    `member ${quoteName(member.name)} is refused: it is a hard link to ${quoteName(member.link)}, and the archive has no such file before it`,
  );
}

async function copy(
  { path: source, stat }: Source,
  path: Buffer,
  member: Member,
  state: Unpacking,
): Promise<void> {
  if (stat.isSymbolicLink())
    makeLink(path, { ...member, link: readlinkSync(source, { encoding: "buffer" }) }, state);
  else await copyFile(source, path, member, state);
  lchownSync(path, stat.uid, stat.gid);
  if (!stat.isSymbolicLink()) chmodSync(path, stat.mode & 0o7777);
  for (const xattr of xattrsOf(source)) setXattr(path, xattr);
  setTime(path, Math.floor(stat.mtimeMs / 1000), 0);
}

async function copyFile(source: Buffer, path: Buffer, member: Member, state: Unpacking): Promise<void> {
  const fd = openSync(source, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size } = fstatSync(fd);
    await writeFresh(path, member, size, dataOf(fd, size), state);
  } finally {
    closeSync(fd);
  }
}
