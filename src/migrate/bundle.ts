/**
 * Small files of one directory, one behind the other: two lengths, a name, the bytes. A guest stands still meanwhile, and
 * what a tar of them takes on both sides is most of what sending them takes.
 */
import { BerthError } from "../base/errors.ts";
import { byteReader } from "../storage/archive/byte-reader.ts";

/** What is longer goes in an archive. */
export const SMALL = 1 << 20;

const HEAD = 6;
const NAME_MAX = 255;

export type SmallFile = { readonly name: string; readonly content: Uint8Array };

export function packFile({ name, content }: SmallFile): Uint8Array {
  const text = Buffer.from(name);
  const head = Buffer.alloc(HEAD);
  head.writeUInt16LE(text.length, 0);
  head.writeUInt32LE(content.length, 2);
  return Buffer.concat([head, text, content]);
}

/** The files of a bundle that another host sent. Fails with migrate.failed on a name that is no plain one. */
export async function* unpackFiles(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<SmallFile> {
  const reader = byteReader(chunks);
  for (;;) {
    const head = await reader.exact(HEAD);
    if (head.length === 0) return;
    const nameLength = head.length < HEAD ? 0 : head.readUInt16LE(0);
    const length = head.length < HEAD ? 0 : head.readUInt32LE(2);
    if (nameLength === 0 || nameLength > NAME_MAX || length > SMALL) throw malformed();
    const name = (await reader.exact(nameLength)).toString();
    const content = Buffer.from(await reader.exact(length));
    if (/[/\0]/.test(name) || name === "." || name === ".." || content.length < length) throw malformed();
    yield { name, content };
  }
}

const malformed = (): BerthError =>
  new BerthError(
    "migrate.failed",
    "the other side sent files that are not to be had as they are",
    "the same version of berth on both sides helps",
  );
