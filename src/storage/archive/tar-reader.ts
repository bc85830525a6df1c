/**
 * Reads a tar archive as a stream of members: v7, ustar, GNU and PAX, sparse files of each. It says what the archive
 * says, names as bytes, and touches no file: what of it is wanted, and where it goes, is the caller's (unpack.ts).
 * Memory is bounded by one chunk of the stream and by the limits below, whatever the archive holds.
 */
import type { Xattr } from "../../kernel/xattr.ts";
import { type ByteReader, byteReader } from "./byte-reader.ts";
import { damaged } from "./damaged.ts";
import { type PaxRecord, parsePax, paxNumber, paxTime, paxValue, paxXattrs, type Time } from "./pax.ts";
import { BadHeader, BLOCK, isZero, parseHeader, type TarHeader } from "./tar-header.ts";
import { checkSparse, type Extent, readOldSparse, readPaxSparse, type Sparse } from "./tar-sparse.ts";

/** Longest body of a header that describes the next one: names, attributes. Linux allows 64 KiB an attribute. */
const LARGEST_HEADER = 4 << 20;

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

type Description = {
  pax: readonly PaxRecord[];
  longName?: Buffer;
  longLink?: Buffer;
};

type Content = { readonly stored: number; readonly sparse: Sparse | undefined };

/**
 * The members of the archive in `chunks`, each of which must stay as it is until the next one is asked for. Ends behind the archive's end
 * mark, having read the stream to its end. Fails with archive.damaged, naming byte and member.
 */
export async function* readTar(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Member> {
  const reader = byteReader(chunks);
  const globals = new Map<string, Buffer>();
  for (;;) {
    const found = await nextMember(reader, globals);
    if (found === undefined) break;
    yield found.member;
    await found.finish();
  }
  // A compressor's own checksum stands at the end of its stream.
  while ((await reader.piece(1 << 20)).length > 0);
}

type Found = { readonly member: Member; readonly finish: () => Promise<void> };

/** Reads headers up to the next member's own. */
async function nextMember(reader: ByteReader, globals: Map<string, Buffer>): Promise<Found | undefined> {
  const description: Description = { pax: [] };
  let name: Buffer | undefined;
  for (;;) {
    const offset = reader.position();
    const block = await reader.exact(BLOCK);
    try {
      if (block.length < BLOCK) throw new BadHeader("it is cut short: its end mark is missing");
      if (isZero(block)) return await endMark(reader);
      const header = parseHeader(block);
      name = description.longName ?? header.name;
      if (await describes(header, description, globals, reader)) continue;
      return await memberOf({ header, block, offset }, description, globals, reader);
    } catch (error) {
      if (error instanceof BadHeader) throw damaged(error.message, offset, name);
      throw error;
    }
  }
}

/** Two blocks of zeros end an archive; some programs write one. Anything else behind the first is damage. */
async function endMark(reader: ByteReader): Promise<undefined> {
  const second = await reader.exact(BLOCK);
  if (second.length > 0 && !isZero(second))
    throw new BadHeader("a block of zeros stands where a header should");
  return undefined;
}

/** Takes in a header that describes the next one; false when it is a member's own. */
async function describes(
  header: TarHeader,
  description: Description,
  globals: Map<string, Buffer>,
  reader: ByteReader,
): Promise<boolean> {
  switch (header.type) {
    case "L":
      description.longName = untilNul(await readBody(header, reader));
      return true;
    case "K":
      description.longLink = untilNul(await readBody(header, reader));
      return true;
    case "x":
    case "X":
      description.pax = parsePax(await readBody(header, reader));
      return true;
    case "g":
      takeGlobals(globals, parsePax(await readBody(header, reader)));
      return true;
    case "V": // GNU's volume label
      await skipBody(header.size, reader);
      return true;
    default:
      return false;
  }
}

async function readBody(header: TarHeader, reader: ByteReader): Promise<Buffer> {
  if (header.size < 0 || header.size > LARGEST_HEADER)
    throw new BadHeader("a header that describes a member is larger than 4 MiB");
  const body = await reader.exact(header.size);
  if (body.length < header.size) throw new BadHeader("it is cut short within a header");
  await skipPadding(header.size, reader);
  return body;
}

function takeGlobals(globals: Map<string, Buffer>, records: readonly PaxRecord[]): void {
  for (const [key, value] of records) globals.set(key, value);
  let size = 0;
  for (const [key, value] of globals) size += key.length + value.length;
  if (size > LARGEST_HEADER) throw new BadHeader("its global PAX headers are larger than 4 MiB");
}

const untilNul = (body: Buffer): Buffer => {
  const end = body.indexOf(0);
  return end < 0 ? body : body.subarray(0, end);
};

const types: Readonly<Record<string, MemberType>> = {
  "\0": "file",
  "0": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
  "7": "file",
  D: "directory",
  S: "file",
};

type Header = { readonly header: TarHeader; readonly block: Buffer; readonly offset: number };

async function memberOf(
  { header, block, offset }: Header,
  description: Description,
  globals: ReadonlyMap<string, Buffer>,
  reader: ByteReader,
): Promise<Found> {
  const records = [...globals, ...description.pax];
  const name =
    paxValue(records, "GNU.sparse.name") ?? paxValue(records, "path") ?? description.longName ?? header.name;
  const link = paxValue(records, "linkpath") ?? description.longLink ?? header.link;
  if (name.includes(0) || link.includes(0)) throw new BadHeader("its name or link holds a NUL byte");
  const type = typeOf(header, name);
  const stored = type === "hardlink" ? 0 : (paxNumber(records, "size") ?? header.size);
  if (stored < 0) throw new BadHeader("its size is negative");
  const { content, sparse } = await contentOf(type, header, block, records, stored, reader);
  const { body, finish } = openContent(content, offset, name, reader);
  const owner = (key: "uid" | "gid"): number => paxNumber(records, key) ?? header[key];
  return {
    member: {
      name,
      type,
      mode: header.mode & 0o7777,
      uid: owner("uid"),
      gid: owner("gid"),
      size: type === "file" ? (sparse?.size ?? stored) : 0,
      mtime: paxTime(records, "mtime") ?? { seconds: header.mtime, nanoseconds: 0 },
      link,
      xattrs: paxXattrs(records),
      acls: aclsOf(records),
      major: header.major,
      minor: header.minor,
      offset,
      content: body,
    },
    finish,
  };
}

function typeOf(header: TarHeader, name: Buffer): MemberType {
  const type = types[header.type];
  if (type === undefined)
    throw new BadHeader(`its type ${JSON.stringify(header.type)} is none that berth knows`);
  // v7 had no type for directories.
  return type === "file" && name.at(-1) === 0x2f && header.size === 0 ? "directory" : type;
}

function aclsOf(records: readonly PaxRecord[]): Member["acls"] {
  const access = paxValue(records, "SCHILY.acl.access")?.toString("latin1");
  const inherited = paxValue(records, "SCHILY.acl.default")?.toString("latin1");
  return {
    ...(access === undefined ? {} : { access }),
    ...(inherited === undefined ? {} : { default: inherited }),
  };
}

async function contentOf(
  type: MemberType,
  header: TarHeader,
  block: Buffer,
  records: readonly PaxRecord[],
  stored: number,
  reader: ByteReader,
): Promise<{ content: Content; sparse: Sparse | undefined }> {
  if (type !== "file") return { content: { stored, sparse: undefined }, sparse: undefined };
  const before = reader.position();
  const sparse =
    header.type === "S" ? await readOldSparse(block, reader) : await readPaxSparse(records, reader);
  // The map of format 1.0 is part of what is stored; the extra blocks of the old one are not.
  const left = header.type === "S" ? stored : stored - (reader.position() - before);
  if (sparse !== undefined) checkSparse(sparse, left);
  return { content: { stored: left, sparse }, sparse };
}

/** The content as pieces, and what passes over the rest of it and its padding. */
function openContent({ stored, sparse }: Content, offset: number, name: Buffer, reader: ByteReader) {
  let left = stored;
  const next = async (most: number): Promise<Buffer> => {
    const bytes = await reader.piece(Math.min(most, left));
    if (bytes.length === 0) throw damaged("it is cut short within a file", offset, name);
    left -= bytes.length;
    return bytes;
  };
  const whole: readonly Extent[] = [{ offset: 0, length: stored }];
  async function* body(): AsyncGenerator<Piece> {
    for (const extent of sparse?.extents ?? whole)
      for (let at = extent.offset; at < extent.offset + extent.length; ) {
        const bytes = await next(extent.offset + extent.length - at);
        yield { at, bytes };
        at += bytes.length;
      }
  }
  const finish = async (): Promise<void> => {
    while (left > 0) await next(1 << 20);
    // The padding is there with the last block; only the map of format 1.0 lies before it, in whole blocks.
    if ((await reader.skip(padding(stored))) < padding(stored))
      throw damaged("it is cut short within a file", offset, name);
  };
  return { body, finish };
}

const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

async function skipBody(size: number, reader: ByteReader): Promise<void> {
  if ((await reader.skip(size)) < size) throw new BadHeader("it is cut short");
  await skipPadding(size, reader);
}

async function skipPadding(size: number, reader: ByteReader): Promise<void> {
  if ((await reader.skip(padding(size))) < padding(size)) throw new BadHeader("it is cut short");
}
