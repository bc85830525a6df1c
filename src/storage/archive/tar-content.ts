/** The content of a tar member: as it is stored, or the parts of a sparse file. */
import type { ByteReader } from "./byte-reader.ts";
import { damaged } from "./damaged.ts";
import type { MemberType, Piece } from "./member.ts";
import type { PaxRecords } from "./pax.ts";
import { BLOCK, type TarHeader } from "./tar-header.ts";
import { checkSparse, type Extent, readOldSparse, readPaxSparse, type Sparse } from "./tar-sparse.ts";

export type Content = {
  /** Bytes in the archive, without padding. */
  readonly stored: number;
  readonly sparse: Sparse | undefined;
};

/** Bytes that fill up the last block. */
export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

/** What is stored for a member, and its sparse map; reads that where it lies before the content. */
export async function contentOf(
  type: MemberType,
  header: TarHeader,
  block: Buffer,
  records: PaxRecords,
  stored: number,
  reader: ByteReader,
): Promise<Content> {
  if (type !== "file") return { stored, sparse: undefined };
  const before = reader.position();
  const sparse =
    header.type === "S" ? await readOldSparse(block, reader) : await readPaxSparse(records, reader);
  // The map of format 1.0 is part of what is stored; the extra blocks of the old one are not.
  const left = header.type === "S" ? stored : stored - (reader.position() - before);
  if (sparse !== undefined) checkSparse(sparse, left);
  return { stored: left, sparse };
}

/** The content as pieces, and what passes over the rest of it and its padding. */
export function openContent({ stored, sparse }: Content, offset: number, name: Buffer, reader: ByteReader) {
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
