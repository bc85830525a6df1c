/** Owner, mode, attributes and times of what was unpacked. Paths are anchored (tree-cursor.ts); no link is followed. */
import { chmodSync, lchownSync } from "node:fs";
import { setTime } from "../../kernel/inode.ts";
import { setXattr, type Xattr } from "../../kernel/xattr.ts";
import { aclFromWords } from "./acl.ts";
import { quoteName, refused } from "./damaged.ts";
import type { Member } from "./member.ts";
import type { UnpackPolicy } from "./unpack-policy.ts";

/** An inherited ACL would change what is made in the directory afterwards: it is set last. */
const DEFAULT_ACL = "system.posix_acl_default";

export type Attributes = {
  readonly now: readonly Xattr[];
  /** To be set once all is unpacked. */
  readonly later: readonly Xattr[];
  /** How many the policy leaves out. */
  readonly dropped: number;
};

/** The member's attributes as they are to be set. */
export function attributesOf(member: Member, policy: UnpackPolicy): Attributes {
  const given = [...member.xattrs, ...aclXattrs(member)];
  const kept = given.flatMap((xattr) => (canHave(member, xattr) ? (policy.xattr(xattr) ?? []) : []));
  const isLast = ({ name }: Xattr): boolean => name.toString("latin1") === DEFAULT_ACL;
  return {
    now: kept.filter((xattr) => !isLast(xattr)),
    later: kept.filter(isLast),
    dropped: given.length - kept.length + unreadableAcls(member),
  };
}

/** The kernel gives links and nodes neither attributes of a user nor ACLs (xattr(7)). */
function canHave({ type }: Member, { name }: Xattr): boolean {
  return type === "file" || type === "directory" || /^(security|trusted)\./.test(name.toString("latin1"));
}

function aclXattrs({ acls }: Member): readonly Xattr[] {
  return (["access", "default"] as const).flatMap((kind) => {
    const value = aclFromWords(acls[kind] ?? "");
    return value === undefined ? [] : [{ name: Buffer.from(`system.posix_acl_${kind}`), value }];
  });
}

const unreadableAcls = (member: Member): number => Object.keys(member.acls).length - aclXattrs(member).length;

/** Owner and mode, then attributes: a change of owner clears setuid bits and capabilities. */
export function applyMetadata(
  path: Buffer,
  member: Member,
  policy: UnpackPolicy,
  xattrs: readonly Xattr[],
): void {
  lchownSync(path, ownerOf(member, "uid", policy), ownerOf(member, "gid", policy));
  if (member.type !== "symlink") chmodSync(path, member.mode);
  for (const xattr of xattrs) setXattr(path, xattr);
  if (member.type !== "directory") setTime(path, member.mtime.seconds, member.mtime.nanoseconds);
}

function ownerOf(member: Member, key: "uid" | "gid", policy: UnpackPolicy): number {
  const owner = policy.owner(member[key]);
  if (owner === undefined)
    throw refused(
      `member ${quoteName(member.name)} is refused: its ${key} ${member[key]} is none of a guest's`,
      "a guest's ids are 0 to 65535, counted from --uid-base: the id that root has in the tree of an unprivileged container, 0 (or left out) in others",
    );
  return owner;
}
