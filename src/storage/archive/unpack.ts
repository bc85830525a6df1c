/**
 * Puts the members of an archive into a directory. The archive is hostile: whatever it says, nothing is written,
 * read or linked outside of that directory (tree-cursor.ts enters no link), limits hold before bytes are written, and
 * what policy leaves out is counted. A failure leaves a half-filled directory, which is the caller's to remove.
 */
import { lstatSync } from "node:fs";
import { asBerthError, BerthError, describeErrno, errnoOf } from "../../base/errors.ts";
import { setTime } from "../../kernel/inode.ts";
import { setXattr, type Xattr } from "../../kernel/xattr.ts";
import { copyLinked } from "./copy-linked.ts";
import { quoteName, refused } from "./damaged.ts";
import type { Member } from "./member.ts";
import { memberPath, pathKey } from "./member-path.ts";
import { applyMetadata, attributesOf } from "./metadata.ts";
import { makeDirectory, makeFile, makeLink, placeNode } from "./place.ts";
import { type TreeCursor, treeCursor } from "./tree-cursor.ts";
import type { UnpackLimits, UnpackPolicy } from "./unpack-policy.ts";

export type Unpacked = {
  /** Members of the archive. */
  readonly entries: number;
  /** Bytes of all files, holes included. */
  readonly size: number;
  /** Devices, fifos and sockets that were left out. */
  readonly nodes: number;
  /** Hard links that became copies. */
  readonly copies: number;
  /** Attributes that were left out. */
  readonly attributes: number;
};

type LateDirectory = {
  readonly member: Member;
  readonly parts: readonly Buffer[];
  readonly xattrs: readonly Xattr[];
};

/** What unpacking carries from member to member. */
export type Unpacking = {
  readonly cursor: TreeCursor;
  /** Where hard links look for what they name: a second one, so that looking moves nothing. */
  readonly sources: TreeCursor;
  readonly policy: UnpackPolicy;
  readonly limits: UnpackLimits;
  readonly late: LateDirectory[];
  /** Names of nodes that were left out: a hard link to one is left out too. */
  readonly leftOut: Set<string>;
  entries: number;
  size: number;
  written: number;
  nodes: number;
  copies: number;
  attributes: number;
};

/** Unpacks all of `members` below `root`, an existing directory that nobody else writes to. */
export async function unpack(
  members: AsyncIterable<Member>,
  root: string,
  policy: UnpackPolicy,
  limits: UnpackLimits,
): Promise<Unpacked> {
  const cursor = treeCursor(root);
  const sources = treeCursor(root);
  const state: Unpacking = {
    ...{ cursor, sources, policy, limits, late: [], leftOut: new Set<string>() },
    ...{ entries: 0, size: 0, written: 0, nodes: 0, copies: 0, attributes: 0 },
  };
  try {
    for await (const member of members) await named(member, () => place(member, state));
    for (const late of state.late) await named(late.member, async () => finishDirectory(late, state));
  } finally {
    cursor.close();
    sources.close();
  }
  const { entries, size, nodes, copies, attributes } = state;
  return { entries, size, nodes, copies, attributes };
}

/** A failure of the file system says which member it was about, and not by which path we went. */
async function named(member: Member, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const plain = asBerthError(error);
    const errno = errnoOf(error);
    if (errno === undefined || error instanceof BerthError) throw plain;
    throw new BerthError(
      plain.code,
      `member ${quoteName(member.name)} cannot be unpacked: ${describeErrno(errno)}`,
      plain.hint,
      error,
    );
  }
}

async function place(member: Member, state: Unpacking): Promise<void> {
  state.entries += 1;
  if (state.entries > state.limits.entries)
    throw refused(
      `the archive has more than ${state.limits.entries} entries`,
      "if that is right, allow more with --max-entries",
    );
  const parts = memberPath(member.name);
  const isNode =
    member.type === "char" || member.type === "block" || member.type === "fifo" || member.type === "socket";
  if (isNode && !state.policy.keepsNode(member)) return leaveOut(parts, state);
  if (member.type === "hardlink")
    return await copyLinked(member, parts, anchored(member, parts, state), state);
  const attributes = attributesOf(member, state.policy);
  state.attributes += attributes.dropped;
  const path = anchored(member, parts, state);
  await make(member, path, state);
  applyMetadata(path, member, state.policy, attributes.now);
  if (member.type === "directory") state.late.push({ member, parts, xattrs: attributes.later });
}

async function make(member: Member, path: Buffer, state: Unpacking): Promise<void> {
  switch (member.type) {
    case "directory":
      return makeDirectory(path, state);
    case "file":
      return await makeFile(path, member, state);
    case "symlink":
      return makeLink(path, member, state);
    default:
      return placeNode(path, member, state);
  }
}

/** The path of a member, its parents made; the root itself is ".". */
function anchored(member: Member, parts: readonly Buffer[], { cursor }: Unpacking): Buffer {
  const name = parts.at(-1);
  if (name === undefined && member.type !== "directory")
    throw refused(
      `member ${quoteName(member.name)} is refused: it is the top of the archive, and no directory`,
    );
  const path = cursor.at(parts.slice(0, -1), name ?? Buffer.from("."), true);
  if (path === undefined)
    throw refused(
      `member ${quoteName(member.name)} is refused: a directory on its way is a link or a file in the archive`,
    );
  return path;
}

function leaveOut(parts: readonly Buffer[], state: Unpacking): void {
  state.nodes += 1;
  state.leftOut.add(pathKey(parts));
}

/** Filling a directory changes its time; an ACL that is inherited comes when there is nobody left to inherit it. */
function finishDirectory({ member, parts, xattrs }: LateDirectory, { cursor }: Unpacking): void {
  const path = cursor.at(parts.slice(0, -1), parts.at(-1) ?? Buffer.from("."), false);
  // Something else may have taken its place.
  if (path === undefined || !lstatSync(path).isDirectory()) return;
  for (const xattr of xattrs) setXattr(path, xattr);
  setTime(path, member.mtime.seconds, member.mtime.nanoseconds);
}
