/**
 * Reads a tar archive as a stream of members: v7, ustar, GNU and PAX, sparse files of each. It says what the archive
 * says, names as bytes, and touches no file: what of it is wanted, and where it goes, is the caller's (unpack.ts).
 * Memory is bounded by one chunk of the stream and by the limits below, whatever the archive holds.
 */
import { type ByteReader, byteReader } from "./byte-reader.ts";
import { damaged } from "./damaged.ts";
import type { Member, MemberType } from "./member.ts";
import {
  isXattr,
  type PaxRecord,
  type PaxRecords,
  parsePax,
  paxNumber,
  paxTime,
  paxValue,
  paxXattrs,
} from "./pax.ts";
import { contentOf, openContent, padding } from "./tar-content.ts";
import { BadHeader, BLOCK, isZero, parseHeader, type TarHeader } from "./tar-header.ts";

/** Longest body of a header that describes the next one: names, attributes. Linux allows 64 KiB an attribute. */
const LARGEST_HEADER = 4 << 20;
const LARGEST_FILLING = 64 << 20;

type Description = {
  pax: readonly PaxRecord[];
  longName?: Buffer;
  longLink?: Buffer;
};

/** What global headers have said so far, and how many bytes that is. */
type Globals = { readonly values: Map<string, Buffer>; size: number };

/**
 * The members of the archive in `chunks`, each of which must stay as it is until the next one is asked for. Ends behind
 * the archive's end mark, having read the stream to its end. Fails with archive.damaged, naming byte and member.
 */
export async function* readTar(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Member> {
  const reader = byteReader(chunks);
  const globals: Globals = { values: new Map(), size: 0 };
  try {
    for (;;) {
      const found = await nextMember(reader, globals);
      if (found === undefined) break;
      yield found.member;
      await found.finish();
    }
    await drain(reader);
  } finally {
    // Whoever stops in the middle stops the decompressor too.
    await reader.close();
  }
}

/** A compressor's own checksum stands at the end of its stream; nobody fills up a tape with more than this. */
async function drain(reader: ByteReader): Promise<void> {
  const end = reader.position();
  while ((await reader.piece(LARGEST_FILLING)).length > 0)
    if (reader.position() - end > LARGEST_FILLING) throw damaged("more than 64 MiB follow its end mark", end);
}

type Found = { readonly member: Member; readonly finish: () => Promise<void> };

/** Reads headers up to the next member's own. */
async function nextMember(reader: ByteReader, globals: Globals): Promise<Found | undefined> {
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
  globals: Globals,
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

/** Keeps values of their own: a short one would hold the whole header. What many members share costs each of them nothing. */
function takeGlobals(globals: Globals, records: readonly PaxRecord[]): void {
  for (const [key, value] of records) {
    if (isXattr(key)) throw new BadHeader("a global PAX header gives attributes to every file");
    const former = globals.values.get(key);
    globals.size += value.length - (former?.length ?? -key.length);
    globals.values.set(key, Buffer.from(value));
  }
  if (globals.size > LARGEST_HEADER) throw new BadHeader("its global PAX headers are larger than 4 MiB");
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
  globals: Globals,
  reader: ByteReader,
): Promise<Found> {
  const records: PaxRecords = { own: description.pax, globals: globals.values };
  const name =
    paxValue(records, "GNU.sparse.name") ?? paxValue(records, "path") ?? description.longName ?? header.name;
  const link = paxValue(records, "linkpath") ?? description.longLink ?? header.link;
  if (name.includes(0) || link.includes(0)) throw new BadHeader("its name or link holds a NUL byte");
  const type = typeOf(header, name);
  const stored = type === "hardlink" ? 0 : (paxNumber(records, "size") ?? header.size);
  if (stored < 0) throw new BadHeader("its size is negative");
  const content = await contentOf(type, header, block, records, stored, reader);
  const { body, finish } = openContent(content, offset, name, reader);
  const owner = (key: "uid" | "gid"): number => paxNumber(records, key) ?? header[key];
  return {
    member: {
      name,
      type,
      mode: header.mode & 0o7777,
      uid: owner("uid"),
      gid: owner("gid"),
      size: type === "file" ? (content.sparse?.size ?? stored) : 0,
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

function aclsOf(records: PaxRecords): Member["acls"] {
  const access = paxValue(records, "SCHILY.acl.access")?.toString("latin1");
  const inherited = paxValue(records, "SCHILY.acl.default")?.toString("latin1");
  return {
    ...(access === undefined ? {} : { access }),
    ...(inherited === undefined ? {} : { default: inherited }),
  };
}

async function skipBody(size: number, reader: ByteReader): Promise<void> {
  if ((await reader.skip(size)) < size) throw new BadHeader("it is cut short");
  await skipPadding(size, reader);
}

async function skipPadding(size: number, reader: ByteReader): Promise<void> {
  if ((await reader.skip(padding(size))) < padding(size)) throw new BadHeader("it is cut short");
}
