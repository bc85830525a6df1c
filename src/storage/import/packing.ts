/** What a file is, by its first bytes; its name says nothing. */
import { readSync } from "node:fs";
import { BerthError } from "../../base/errors.ts";
import { refused } from "../archive/damaged.ts";
import { BadHeader, BLOCK, parseHeader } from "../archive/tar-header.ts";
import type { ProgramName } from "../program.ts";

export type Packing = {
  readonly kind: "tar" | "squashfs";
  /** "gzip", "xz": how the tar is compressed. */
  readonly compression?: string;
  /** What makes a plain tar of it, reading the file as its stdin. */
  readonly filter?: { readonly program: ProgramName; readonly args: readonly string[] };
};

const packings: readonly (readonly [magic: string, packing: Packing])[] = [
  ["\x1f\x8b", { kind: "tar", compression: "gzip", filter: { program: "gzip", args: ["-dc"] } }],
  ["\xfd7zXZ\0", { kind: "tar", compression: "xz", filter: { program: "xz", args: ["-dc"] } }],
  ["\x28\xb5\x2f\xfd", { kind: "tar", compression: "zstd", filter: { program: "zstd", args: ["-dcq"] } }],
  ["BZh", { kind: "tar", compression: "bzip2", filter: { program: "bzip2", args: ["-dc"] } }],
  // It seeks, and opens what it reads by name.
  ["hsqs", { kind: "squashfs", filter: { program: "sqfs2tar", args: ["--", "/proc/self/fd/0"] } }],
];

/** What people hand in by mistake. */
const others: readonly (readonly [magic: string, what: string])[] = [
  ["QFI\xfb", "a disk image of a virtual machine (qcow2)"],
  ["KDMV", "a disk image of a virtual machine (VMDK)"],
  ["Withou", "a ploop disk image: mount it, and import the directory"],
  ["PK\x03\x04", "a zip file"],
  ["7z\xbc\xaf", "a 7z file"],
  ["-----BEGIN PGP", "a signature or key"],
  ["\x7fELF", "a program"],
];

/** Fails with archive.refused, saying what it is where that is known. */
export function packingOf(fd: number, source: string): Packing {
  const buffer = Buffer.alloc(BLOCK);
  const head = buffer.subarray(0, readSync(fd, buffer, 0, BLOCK, 0));
  const starts = (magic: string): boolean => head.toString("latin1", 0, magic.length) === magic;
  const found = packings.find(([magic]) => starts(magic))?.[1];
  if (found !== undefined) return found;
  if (isTar(head)) return { kind: "tar" };
  if (head.length === 0) throw new BerthError("archive.damaged", `${source} is empty`, "fetch it again");
  const what = others.find(([magic]) => starts(magic))?.[1];
  throw refused(
    `${source} is ${what ?? "no archive that berth reads"}`,
    "berth imports tar archives (plain, gzip, xz, zstd, bzip2), squashfs images and directories",
  );
}

function isTar(head: Buffer): boolean {
  if (head.length < BLOCK) return false;
  try {
    parseHeader(head);
    return true;
  } catch (error) {
    if (error instanceof BadHeader) return false;
    throw error;
  }
}
