/** The content of an open file as pieces, without what is zeros only: a copy of a sparse file takes no more than the file. */
import { readSync } from "node:fs";
import type { Piece } from "./member.ts";

const CHUNK = 1 << 16;
const zeros = Buffer.alloc(CHUNK);

/** At most the first `size` bytes; each piece is good until the next one. */
export function* dataOf(fd: number, size: number): Generator<Piece> {
  const chunk = Buffer.allocUnsafe(CHUNK);
  for (let at = 0; at < size; ) {
    const got = readSync(fd, chunk, 0, Math.min(CHUNK, size - at), at);
    if (got === 0) return;
    const bytes = chunk.subarray(0, got);
    if (!bytes.equals(zeros.subarray(0, got))) yield { at, bytes };
    at += got;
  }
}
