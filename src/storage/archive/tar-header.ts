/**
 * The header block of a tar member: v7, ustar (POSIX.1-1988), GNU and star's variant of ustar. Numbers are octal
 * text or, where they do not fit, base-256 (GNU tar, "tar internals"). Nothing here decides what a member means.
 */

export const BLOCK = 512;
const zeros = Buffer.alloc(BLOCK);

export type TarHeader = {
  /** As the block has it: prefix and name joined, cut at NUL. */
  readonly name: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** One latin-1 character; "\0" is v7's regular file. */
  readonly type: string;
  readonly link: Buffer;
  readonly major: number;
  readonly minor: number;
};

/** What is wrong with a block; the reader adds where. */
export class BadHeader extends Error {}

/** Whether a block ends the archive. */
export function isZero(block: Buffer): boolean {
  return block.equals(zeros);
}

/** Throws BadHeader for a wrong checksum or a number that is none. */
export function parseHeader(block: Buffer): TarHeader {
  checkSum(block);
  const magic = block.toString("latin1", 257, 265);
  const posix = magic === "ustar\x0000";
  const known = posix || magic === "ustar  \0";
  // star keeps times in the last 24 bytes of the prefix, and says so at the end of the block.
  const star = posix && block.toString("latin1", 508, 512) === "tar\0";
  const prefix = posix ? text(block, 345, star ? 131 : 155) : Buffer.alloc(0);
  const name = text(block, 0, 100);
  return {
    name: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]),
    mode: number(block, 100, 8),
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtime: number(block, 136, 12),
    type: block.toString("latin1", 156, 157),
    link: text(block, 157, 100),
    major: known ? number(block, 329, 8) : 0,
    minor: known ? number(block, 337, 8) : 0,
  };
}

/** Bytes up to the first NUL. */
function text(block: Buffer, at: number, length: number): Buffer {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return end < 0 ? field : field.subarray(0, end);
}

/** Octal text between spaces or NULs, or base-256 in two's complement when the first bit is set. */
export function number(block: Buffer, at: number, length: number): number {
  const field = block.subarray(at, at + length);
  if (((field[0] ?? 0) & 0x80) !== 0) return base256(field);
  const digits = field.toString("latin1").replace(/^[ \0]+|[ \0].*$/gs, "");
  if (digits === "") return 0;
  if (!/^[0-7]+$/.test(digits)) throw new BadHeader("a number of its header is not one");
  return Number.parseInt(digits, 8);
}

function base256(field: Buffer): number {
  const negative = ((field[0] ?? 0) & 0x40) !== 0;
  let value = negative ? -1n : 0n;
  for (const [index, byte] of field.entries())
    value = (value << 8n) | BigInt(index === 0 && !negative ? byte & 0x7f : byte);
  const result = Number(value);
  if (!Number.isSafeInteger(result)) throw new BadHeader("a number of its header is too large");
  return result;
}

/** The sum of all bytes, those of the checksum itself as spaces; some old programs summed signed bytes. */
function checkSum(block: Buffer): void {
  const wanted = number(block, 148, 8);
  let plain = 0;
  let signed = 0;
  for (let at = 0; at < BLOCK; at += 1) {
    const byte = at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0);
    plain += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  if (plain !== wanted && signed !== wanted) throw new BadHeader("the checksum of its header is wrong");
}
