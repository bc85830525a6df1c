/** What of an archive is unpacked, as data: a template's rules here, a backup's where backups are restored. */
import type { Xattr } from "../../kernel/xattr.ts";
import { mapAcl } from "./acl.ts";
import type { Member } from "./member.ts";

export type UnpackPolicy = {
  /** A copy of its own for each name, or names of one file. */
  readonly hardLinks: "copy" | "keep";
  /** Which devices, fifos and sockets are made; the others are left out and counted. */
  readonly keepsNode: (member: Member) => boolean;
  /** An attribute as it is to be set; undefined leaves it out. */
  readonly xattr: (xattr: Xattr) => Xattr | undefined;
  /** The owner on disk for one in the archive; undefined refuses the archive. */
  readonly owner: (id: number) => number | undefined;
};

export type UnpackLimits = {
  /** Bytes of all files together, holes and copies of hard links included. */
  readonly size: number;
  /** Bytes that may be written. */
  readonly space: number;
  readonly entries: number;
};

/** A guest has this many ids (docs/design.md, decision 6). */
const IDS = 65536;

const ACL = /^system\.posix_acl_(access|default)$/;

/**
 * A template: no nodes, no hard-linked file, the ids of a guest. Attributes that mean something to a guest stay: its
 * own (user.), file capabilities and ACLs. Those of the host's layers are left out: trusted.overlay ones would make
 * the kernel look elsewhere in the tree, SELinux labels and signatures are another host's. `base` is the id that root
 * has in the archive: 0, or the first of a range.
 */
export function templatePolicy(base = 0): UnpackPolicy {
  const owner = (id: number): number | undefined => (id >= base && id < base + IDS ? id - base : undefined);
  return {
    hardLinks: "copy",
    keepsNode: () => false,
    owner,
    xattr: (xattr) => {
      const name = xattr.name.toString("latin1");
      if (name === "security.capability" || name.startsWith("user.")) return xattr;
      const value = ACL.test(name) ? mapAcl(xattr.value, owner) : undefined;
      return value === undefined ? undefined : { name: xattr.name, value };
    },
  };
}
