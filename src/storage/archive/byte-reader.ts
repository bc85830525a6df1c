/** Reading a stream of chunks by the number of bytes wanted. Memory is bounded by one chunk and by what is asked for. */

export type ByteReader = {
  /** Bytes handed out or skipped so far. */
  readonly position: () => number;
  /** Exactly `count` bytes, or fewer when the stream ends before: a copy, good for ever. */
  readonly exact: (count: number) => Promise<Buffer>;
  /** At least one and at most `most` bytes, good until more is asked for; empty at the end of the stream. */
  readonly piece: (most: number) => Promise<Buffer>;
  /** Passes over `count` bytes; gives how many there were. */
  readonly skip: (count: number) => Promise<number>;
  /** Ends the stream, read to its end or not: what makes it stops. */
  readonly close: () => Promise<void>;
};

const nothing = Buffer.alloc(0);

/** A reader over `chunks`, each of which must stay as it is until the next one is asked for. */
export function byteReader(chunks: AsyncIterable<Uint8Array>): ByteReader {
  const source = chunks[Symbol.asyncIterator]();
  let rest: Buffer = nothing;
  let position = 0;

  const piece = async (most: number): Promise<Buffer> => {
    while (rest.length === 0) {
      const next = await source.next();
      if (next.done === true) return nothing;
      rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    const part = rest.subarray(0, most);
    rest = rest.subarray(part.length);
    position += part.length;
    return part;
  };

  const exact = async (count: number): Promise<Buffer> => {
    const bytes = Buffer.allocUnsafe(count);
    let got = 0;
    while (got < count) {
      const part = await piece(count - got);
      if (part.length === 0) break;
      part.copy(bytes, got);
      got += part.length;
    }
    return bytes.subarray(0, got);
  };

  const skip = async (count: number): Promise<number> => {
    let left = count;
    while (left > 0) {
      const part = await piece(left);
      if (part.length === 0) break;
      left -= part.length;
    }
    return count - left;
  };

  const close = async (): Promise<void> => {
    await source.return?.();
  };

  return { position: () => position, exact, piece, skip, close };
}
