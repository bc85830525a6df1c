/**
 * Frames of the line between two berths: a kind, a length, a body. Messages are JSON; data come in pieces until an end.
 * A beat says that the sender lives, and may come between any two.
 */
import { BerthError } from "../base/errors.ts";
import type { ByteReader } from "../storage/archive/byte-reader.ts";

export type Frame =
  | { readonly kind: "message"; readonly body: Uint8Array }
  | { readonly kind: "data"; readonly body: Uint8Array }
  | { readonly kind: "end" };

const HEADER = 5;
const kinds = { message: 0x4d, data: 0x44, end: 0x45, beat: 0x42 } as const;

export type Kind = keyof typeof kinds;

/** Longest body of each kind. */
const longest: Readonly<Record<Kind, number>> = { message: 4 << 20, data: 1 << 20, end: 0, beat: 0 };

/** Bytes of data that go into one frame. */
export const PIECE = longest.data;

/** The head of a frame; its body follows. */
export function frameHead(kind: Kind, length: number): Uint8Array {
  if (length > longest[kind])
    throw new BerthError("migrate.failed", `a ${kind} of ${length} bytes is too long for the line`);
  const head = Buffer.alloc(HEADER);
  head.writeUInt8(kinds[kind], 0);
  head.writeUInt32BE(length, 1);
  return head;
}

/** The next frame that is no beat; undefined where the line ends between two frames. Fails with migrate.failed on anything else. */
export async function readFrame(reader: ByteReader): Promise<Frame | undefined> {
  let head = await readHead(reader);
  while (head?.kind === "beat") head = await readHead(reader);
  if (head === undefined) return undefined;
  const { kind, length } = head;
  if (kind === "end") return { kind };
  const body = await reader.exact(length);
  if (body.length < length) throw cut();
  return { kind, body };
}

type Head = { readonly kind: Kind; readonly length: number };

async function readHead(reader: ByteReader): Promise<Head | undefined> {
  const head = await reader.exact(HEADER);
  if (head.length === 0) return undefined;
  const found = head[0];
  const kind = (Object.keys(kinds) as Kind[]).find((one) => kinds[one] === found);
  if (head.length < HEADER) throw kind === undefined ? notOurs(head) : cut();
  if (kind === undefined) throw notOurs(head);
  const length = head.readUInt32BE(1);
  if (length > longest[kind]) throw notOurs(head);
  return { kind, length };
}

const cut = (): BerthError =>
  new BerthError("migrate.failed", "the line to the other side was cut in the middle of a message");

/** What a shell's start-up files or another program print, not berth. */
const notOurs = (head: Buffer): BerthError =>
  new BerthError(
    "migrate.failed",
    `the other side does not answer as berth does: its answer begins with ${JSON.stringify(head.toString("latin1"))}`,
    "see that `berth --version` works there by the same way, and that its shell prints nothing on its own",
  );
