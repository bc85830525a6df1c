/**
 * A tar member's headers as bytes: ustar (POSIX.1-1988), with a PAX header (POSIX.1-2001) before it for what does not fit:
 * long names, large sizes, times with a fraction, extended attributes, the map of a sparse file.
 */
import { BLOCK } from "./tar-header.ts";

/** Largest number in a ustar field of 12 bytes: 11 octal digits. */
const LARGEST = 8 ** 11 - 1;

export type HeaderType = "0" | "1" | "2" | "3" | "5" | "6";

export type Header = {
  readonly name: Buffer;
  readonly type: HeaderType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes that follow it, padding left out. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  readonly link: Buffer;
};

export type PaxPair = readonly [key: Buffer, value: Buffer];

const nothing = Buffer.alloc(0);
const BILLION = 1_000_000_000n;

/** An entry of root's without a link, as those are that describe an archive. */
export const plainHeader = { mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 0n, link: nothing } as const;

/** The member's headers; `size` bytes of content and padding(size) zeros belong behind them. */
export function memberHeader(header: Header, records: readonly PaxPair[] = []): Buffer {
  const extra: PaxPair[] = [...records];
  const add = (key: string, value: Buffer | string): void => {
    extra.push([Buffer.from(key), Buffer.from(value)]);
  };
  if (header.name.length > 100) add("path", header.name);
  if (header.link.length > 100) add("linkpath", header.link);
  if (header.size > LARGEST) add("size", String(header.size));
  if (!isPlainTime(header.mtime)) add("mtime", timeText(header.mtime));
  if (extra.length === 0) return block(header, header.type);
  const body = Buffer.concat(extra.map(([key, value]) => paxRecord(key, value)));
  return Buffer.concat([
    block({ ...plainHeader, name: Buffer.from("././@PaxHeader"), size: body.length }, "x"),
    body,
    Buffer.alloc(padding(body.length)),
    block(header, header.type),
  ]);
}

/** Bytes that fill a member's content up to a whole block. */
export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

/** What ends an archive. */
export const endOfArchive: Uint8Array = Buffer.alloc(2 * BLOCK);

const isPlainTime = (time: bigint): boolean =>
  time >= 0n && time % BILLION === 0n && time / BILLION <= LARGEST;

/** "12.000000345", "-0.5". */
function timeText(time: bigint): string {
  const size = time < 0n ? -time : time;
  const fraction = String(size % BILLION)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `${time < 0n ? "-" : ""}${size / BILLION}${fraction === "" ? "" : `.${fraction}`}`;
}

/** "LENGTH KEY=VALUE\n", where LENGTH counts its own digits too. */
function paxRecord(key: Buffer, value: Buffer): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} `), key, Buffer.from("="), value, Buffer.from("\n")]);
}

/** A number that does not fit its field is 0 there: a PAX record has it. */
function block(header: Omit<Header, "type">, type: HeaderType | "x"): Buffer {
  const bytes = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number): void => {
    bytes.write(value.toString(8).padStart(digits, "0"), at, "latin1");
  };
  const seconds = Number(header.mtime / BILLION);
  header.name.copy(bytes, 0, 0, 100);
  octal(header.mode, 100, 7);
  octal(header.uid, 108, 7);
  octal(header.gid, 116, 7);
  octal(header.size > LARGEST ? 0 : header.size, 124, 11);
  octal(Math.min(Math.max(0, seconds), LARGEST), 136, 11);
  bytes.fill(0x20, 148, 156);
  bytes.write(type, 156, "latin1");
  header.link.copy(bytes, 157, 0, 100);
  bytes.write("ustar\x0000", 257, "latin1");
  // Device numbers: 0:0 is the only device there is, an overlay's whiteout.
  octal(0, 329, 7);
  octal(0, 337, 7);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return bytes;
}
