/** What an archive, or a directory that is copied as one, brings: one member after the other. */
import type { Xattr } from "../../kernel/xattr.ts";
import type { Time } from "./pax.ts";

export type MemberType = "file" | "hardlink" | "symlink" | "directory" | "char" | "block" | "fifo" | "socket";

/** Bytes of a file, good until the next piece, and where in it they belong; between pieces, and after the last, are holes. */
export type Piece = { readonly at: number; readonly bytes: Uint8Array };

export type Member = {
  /** As the archive has it: any bytes but NUL, perhaps absolute, perhaps with "..". */
  readonly name: Buffer;
  readonly type: MemberType;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a regular file, holes included. */
  readonly size: number;
  readonly mtime: Time;
  /** Target of a link. */
  readonly link: Buffer;
  readonly xattrs: readonly Xattr[];
  /** POSIX ACLs in words (SCHILY.acl.access and .default), where the archive has them. */
  readonly acls: { readonly access?: string; readonly default?: string };
  /** Of a device. */
  readonly major: number;
  readonly minor: number;
  /** Where its header begins. */
  readonly offset: number;
  /** The content, once, before the next member is asked for; what is not read is passed over. */
  readonly content: () => AsyncGenerator<Piece>;
};
