/**
 * The records of a PAX header (POSIX.1-2001, pax(1) "Extended Header"): "LENGTH KEY=VALUE\n", keys and values being
 * bytes. Kept in order, since GNU's first sparse format repeats keys.
 */
import type { Xattr } from "../../kernel/xattr.ts";
import { BadHeader } from "./tar-header.ts";

/** Keys as latin-1, so that no byte of theirs is lost. */
export type PaxRecord = readonly [key: string, value: Buffer];

/** What is said of a member: by records of its own, else by those of the global headers before it. */
export type PaxRecords = {
  readonly own: readonly PaxRecord[];
  readonly globals: ReadonlyMap<string, Buffer>;
};

/** Throws BadHeader when the records do not fill the body exactly. */
export function parsePax(body: Buffer): readonly PaxRecord[] {
  const records: PaxRecord[] = [];
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const digits = body.toString("latin1", at, Math.min(space, at + 12));
    const end = at + Number(digits);
    if (space < 0 || !/^[1-9]\d*$/.test(digits) || end > body.length || body[end - 1] !== 0x0a)
      throw new BadHeader("a record of its PAX header is malformed");
    const equals = body.indexOf(0x3d, space);
    if (equals <= space + 1 || equals >= end) throw new BadHeader("a record of its PAX header has no key");
    records.push([body.toString("latin1", space + 1, equals), body.subarray(equals + 1, end - 1)]);
    at = end;
  }
  return records;
}

/** The last value of a key: POSIX has the last one count. An empty value takes the key back. */
export function paxValue({ own, globals }: PaxRecords, key: string): Buffer | undefined {
  const value = own.findLast(([name]) => name === key)?.[1] ?? globals.get(key);
  return value === undefined || value.length === 0 ? undefined : value;
}

/** A whole number of a record, which must not be negative. */
export function paxNumber(records: PaxRecords, key: string): number | undefined {
  const value = paxValue(records, key)?.toString("latin1");
  if (value === undefined) return undefined;
  const result = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(result))
    throw new BadHeader(`its PAX record ${key} is not a number`);
  return result;
}

export type Time = { readonly seconds: number; readonly nanoseconds: number };

/** Seconds since 1970 with a fraction, which may be negative. */
export function paxTime(records: PaxRecords, key: string): Time | undefined {
  const value = paxValue(records, key)?.toString("latin1");
  if (value === undefined) return undefined;
  const [, minus, whole, fraction = ""] = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value) ?? [];
  if (whole === undefined) throw new BadHeader(`its PAX record ${key} is not a time`);
  const seconds = Number(whole);
  const nanoseconds = Number(fraction.padEnd(9, "0").slice(0, 9));
  if (minus === "") return { seconds, nanoseconds };
  return nanoseconds === 0
    ? { seconds: -seconds, nanoseconds: 0 }
    : { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds };
}

const STAR = "SCHILY.xattr.";
const LIBARCHIVE = "LIBARCHIVE.xattr.";

/** Whether a record is an extended attribute. */
export const isXattr = (key: string): boolean => key.startsWith(STAR) || key.startsWith(LIBARCHIVE);

/** Extended attributes as star and GNU tar write them (raw), and as libarchive does (base64, its names %-encoded). */
export function paxXattrs({ own }: PaxRecords): readonly Xattr[] {
  const found = new Map<string, Buffer>();
  for (const [key, value] of own) {
    if (key.startsWith(LIBARCHIVE))
      found.set(
        unescapePercent(key.slice(LIBARCHIVE.length)),
        Buffer.from(value.toString("latin1"), "base64"),
      );
  }
  for (const [key, value] of own) if (key.startsWith(STAR)) found.set(key.slice(STAR.length), value);
  return [...found].map(([name, value]) => ({ name: Buffer.from(name, "latin1"), value }));
}

function unescapePercent(text: string): string {
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
