/** Archives for tests, member by member, also such as no program would write. */
import { BLOCK } from "./tar-header.ts";

export type TestMember = {
  readonly name: string;
  /** "0" file, "1" hard link, "2" symbolic link, "3" device, "5" directory, "x" PAX, "L" long name. */
  readonly type?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly link?: string;
  readonly content?: string | Buffer;
  /** What the header says instead of the content's length. */
  readonly size?: number;
  /** PAX records for it. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
};

/** A whole archive; names and links are latin-1, so that any byte can be written. */
export function tarOf(...members: readonly TestMember[]): Buffer {
  return Buffer.concat([...members.flatMap(memberBlocks), Buffer.alloc(2 * BLOCK)]);
}

function memberBlocks({ pax, ...member }: TestMember): Buffer[] {
  if (pax === undefined || Object.keys(pax).length === 0) return plainBlocks(member);
  const body = Buffer.concat(Object.entries(pax).map(([key, value]) => paxRecord(key, Buffer.from(value))));
  return [...plainBlocks({ name: "pax", type: "x", content: body }), ...plainBlocks(member)];
}

function paxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), value, Buffer.from("\n")]);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function plainBlocks(member: TestMember): Buffer[] {
  const content = Buffer.from(member.content ?? "");
  const filled = Buffer.alloc(Math.ceil(content.length / BLOCK) * BLOCK);
  content.copy(filled);
  return [headerOf(member, content.length), filled];
}

function headerOf(member: TestMember, length: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number): void => {
    block.write(value.toString(8).padStart(digits, "0"), at, "latin1");
  };
  block.write(member.name, 0, 100, "latin1");
  octal(member.mode ?? (member.type === "5" ? 0o755 : 0o644), 100, 7);
  octal(member.uid ?? 0, 108, 7);
  octal(member.gid ?? 0, 116, 7);
  octal(member.size ?? length, 124, 11);
  octal(1_700_000_000, 136, 11);
  block.write(member.type ?? "0", 156, "latin1");
  block.write(member.link ?? "", 157, 100, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  return sealed(block);
}

/** The block with its checksum put right. */
export function sealed(block: Buffer): Buffer {
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** The archive as a stream of chunks of that many bytes. */
export async function* chunksOf(archive: Buffer, size = 10_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < archive.length; at += size) yield archive.subarray(at, at + size);
}
