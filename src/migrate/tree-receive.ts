/** Taking a tree that comes in passes. The names come from another host and are as little trusted as an archive's. */
import { lstatSync, rmdirSync, unlinkSync } from "node:fs";
import { BerthError, errnoOf } from "../base/errors.ts";
import { removeXattr, xattrsOf } from "../kernel/xattr.ts";
import { backupPolicy } from "../storage/archive/backup-policy.ts";
import { mapXattr } from "../storage/archive/guest-attributes.ts";
import type { Member } from "../storage/archive/member.ts";
import { memberPath } from "../storage/archive/member-path.ts";
import { readTar } from "../storage/archive/tar-reader.ts";
import { treeCursor } from "../storage/archive/tree-cursor.ts";
import { unpack } from "../storage/archive/unpack.ts";

/** Limits are the volume's. */
const noLimits = {
  size: Number.POSITIVE_INFINITY,
  space: Number.POSITIVE_INFINITY,
  entries: Number.POSITIVE_INFINITY,
} as const;

/** Puts the archive's members into the tree at `root`, as a guest whose first id is `baseUid` has them. */
export async function receiveTree(
  chunks: AsyncIterable<Uint8Array>,
  root: string,
  baseUid: number,
): Promise<void> {
  await unpack(readTar(chunks), root, backupPolicy(baseUid, true), noLimits);
}

/** The same for a directory of plain files alone: whoever opens them follows no link and waits for no pipe. */
export async function receiveFiles(chunks: AsyncIterable<Uint8Array>, root: string): Promise<void> {
  await unpack(plainFiles(readTar(chunks)), root, backupPolicy(0, true), noLimits);
}

async function* plainFiles(members: AsyncIterable<Member>): AsyncGenerator<Member> {
  for await (const member of members) {
    if (member.type !== "file" || memberPath(member.name).length !== 1)
      throw new BerthError(
        "migrate.failed",
        "the other side sent an image that is no plain file",
        "the same version of berth on both sides helps",
      );
    yield member;
  }
}

/** Removes names, and the attributes of directories that come anew. What is not there is fine; no link is followed. */
export function clearNames(root: string, gone: readonly Buffer[], renewed: readonly Buffer[]): void {
  const cursor = treeCursor(root);
  const at = (name: Buffer): Buffer | undefined => {
    const parts = memberPath(name);
    return cursor.at(parts.slice(0, -1), parts.at(-1) ?? Buffer.from("."), false);
  };
  try {
    for (const name of gone) {
      const path = name.length === 0 ? undefined : at(name);
      if (path !== undefined && removeName(path)) cursor.forget();
    }
    for (const name of renewed) {
      const path = at(name);
      if (path !== undefined) removeAttributes(path);
    }
  } finally {
    cursor.close();
  }
}

/** True when it was a directory. One that holds something stays: what has its name now says what becomes of it. */
function removeName(path: Buffer): boolean {
  try {
    const directory = lstatSync(path).isDirectory();
    if (directory) rmdirSync(path);
    else unlinkSync(path);
    return directory;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ENOTEMPTY") return false;
    throw error;
  }
}

function removeAttributes(path: Buffer): void {
  for (const xattr of xattrsOf(path))
    if (mapXattr(xattr, (id) => id, true) !== undefined) removeXattr(path, xattr.name);
}
