/**
 * Sparse files in tar: the old GNU header, and GNU's PAX formats 0.0, 0.1 and 1.0 (GNU tar manual, "Sparse Formats").
 * Each gives a map: which parts of the file the archive holds, in order; the rest is holes.
 */
import type { ByteReader } from "./byte-reader.ts";
import { type PaxRecords, paxNumber, paxValue } from "./pax.ts";
import { BadHeader, BLOCK, number } from "./tar-header.ts";

export type Extent = { readonly offset: number; readonly length: number };

export type Sparse = { readonly size: number; readonly extents: readonly Extent[] };

/** More parts than this in one file are refused: memory is ours. */
const MOST_EXTENTS = 1 << 20;
const LONGEST_NUMBER = 20;

/** The map of type "S": four parts in the header, 21 in each block that follows it. */
export async function readOldSparse(header: Buffer, reader: ByteReader): Promise<Sparse> {
  const extents: Extent[] = [];
  const take = (block: Buffer, at: number, count: number): void => {
    for (let index = 0; index < count; index += 1) {
      const offset = number(block, at + index * 24, 12);
      const length = number(block, at + index * 24 + 12, 12);
      if (offset !== 0 || length !== 0) extents.push({ offset, length });
    }
  };
  take(header, 386, 4);
  for (let more = header[482] !== 0; more; ) {
    const block = await reader.exact(BLOCK);
    if (block.length < BLOCK || extents.length > MOST_EXTENTS)
      throw new BadHeader("its sparse map has no end");
    take(block, 0, 21);
    more = block[504] !== 0;
  }
  return { size: number(header, 483, 12), extents };
}

/** The map that PAX records tell: undefined when the file is not sparse. Format 1.0 has it before the data. */
export async function readPaxSparse(records: PaxRecords, reader: ByteReader): Promise<Sparse | undefined> {
  const major = paxNumber(records, "GNU.sparse.major");
  if (major !== undefined) {
    if (major !== 1 || paxNumber(records, "GNU.sparse.minor") !== 0)
      throw new BadHeader("its sparse format is a newer one than 1.0");
    const extents = await readMap(reader);
    return { size: mustSize(paxNumber(records, "GNU.sparse.realsize")), extents };
  }
  const map = paxValue(records, "GNU.sparse.map")?.toString("latin1").split(",");
  const pairs = map ?? repeated(records);
  if (pairs.length === 0 && paxNumber(records, "GNU.sparse.size") === undefined) return undefined;
  return { size: mustSize(paxNumber(records, "GNU.sparse.size")), extents: pair(pairs.map(decimal)) };
}

/** Format 0.0: offset and numbytes as records of their own, as often as there are parts. */
function repeated({ own }: PaxRecords): readonly string[] {
  return own
    .filter(([key]) => key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes")
    .map(([, value]) => value.toString("latin1"));
}

/** Format 1.0: the count, then offset and length of each part, each a line; filled up to a whole block. */
async function readMap(reader: ByteReader): Promise<readonly Extent[]> {
  const numbers: number[] = [];
  let line = "";
  for (let wanted = 1; numbers.length < wanted; ) {
    const block = await reader.exact(BLOCK);
    if (block.length < BLOCK) throw new BadHeader("its sparse map has no end");
    const lines = (line + block.toString("latin1")).split("\n");
    line = lines.pop() ?? "";
    for (const text of lines) {
      if (numbers.length === wanted) break;
      numbers.push(decimal(text));
      if (numbers.length === 1) wanted = 1 + 2 * (numbers[0] ?? 0);
      if (wanted > 2 * MOST_EXTENTS) throw new BadHeader("its sparse map has too many parts");
    }
    if (numbers.length < wanted && line.length > LONGEST_NUMBER)
      throw new BadHeader("its sparse map is malformed");
  }
  return pair(numbers.slice(1));
}

function pair(numbers: readonly number[]): readonly Extent[] {
  if (numbers.length % 2 !== 0 || numbers.length > 2 * MOST_EXTENTS)
    throw new BadHeader("its sparse map is malformed");
  return Array.from({ length: numbers.length / 2 }, (_, index) => ({
    offset: numbers[2 * index] ?? 0,
    length: numbers[2 * index + 1] ?? 0,
  }));
}

function decimal(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new BadHeader("its sparse map holds what is not a number");
  return value;
}

function mustSize(size: number | undefined): number {
  if (size === undefined) throw new BadHeader("it is sparse and does not say how large it is");
  return size;
}

/** Parts must follow one another within the file, and be as long together as what the archive stores. */
export function checkSparse({ size, extents }: Sparse, stored: number): void {
  let end = 0;
  let total = 0;
  for (const { offset, length } of extents) {
    if (offset < end || offset + length > size)
      throw new BadHeader("the parts of its sparse map overlap or lie outside");
    end = offset + length;
    total += length;
  }
  if (total !== stored) throw new BadHeader("its sparse map does not fit what is stored");
}
