/** A line to another berth: messages both ways, and data in bulk as fast as the other side takes them. */
import { writeSync } from "node:fs";
import * as v from "valibot";
import { BerthError, errnoOf } from "../base/errors.ts";
import { byteReader } from "../storage/archive/byte-reader.ts";
import { gathering } from "../storage/archive/output.ts";
import type { Write } from "../storage/archive/tar-writer.ts";
import { frameHead, type Kind, PIECE, readFrame } from "./frames.ts";

export type Channel = {
  readonly send: (message: object) => Promise<void>;
  /** The next message, which must be one of the schema; undefined when the other side has ended the line. */
  readonly receive: <S extends v.GenericSchema>(schema: S) => Promise<v.InferOutput<S> | undefined>;
  /** Sends what `work` writes; gives its length. */
  readonly sendBulk: (work: (write: Write) => Promise<void>) => Promise<number>;
  /** What the other side sends in bulk, to its end. */
  readonly bulk: () => AsyncGenerator<Uint8Array>;
  /** Tells the other side that this one lives. */
  readonly beat: () => Promise<void>;
  /** Bytes sent so far. */
  readonly sent: () => number;
};

/** A channel over two streams; `write` returns when the other side has taken the bytes or a bounded buffer has. */
export function openChannel(input: AsyncIterable<Uint8Array>, write: Write): Channel {
  const reader = byteReader(input);
  let sent = 0;
  let before: Promise<unknown> = Promise.resolve();
  const put = async (kind: Kind, body: Uint8Array): Promise<void> => {
    const head = frameHead(kind, body.length);
    // One after the other: a beat has no turn.
    const writing = before.then(
      async () => await write(body.length === 0 ? head : Buffer.concat([head, body])),
    );
    before = writing.catch(() => {});
    await writing;
    sent += head.length + body.length;
  };

  async function* bulk(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = await readFrame(reader);
      if (frame?.kind === "end") return;
      if (frame?.kind !== "data") throw outOfTurn(frame?.kind);
      yield frame.body;
    }
  }

  return {
    send: async (message) => await put("message", Buffer.from(JSON.stringify(message))),
    receive: async (schema) => {
      const frame = await readFrame(reader);
      if (frame === undefined) return undefined;
      if (frame.kind !== "message") throw outOfTurn(frame.kind);
      return parseMessage(schema, frame.body);
    },
    sendBulk: async (work) => {
      let length = 0;
      const { write: take, flush } = gathering(async (bytes) => {
        length += bytes.length;
        await put("data", bytes);
      }, PIECE);
      await work(take);
      await flush();
      await put("end", new Uint8Array());
      return length;
    },
    bulk,
    beat: async () => await put("beat", new Uint8Array()),
    sent: () => sent,
  };
}

/** How long a destination waits for a sign of life. */
export const SILENCE_MS = 60_000;

/** Ends with an error when nothing comes for so long: a line that died without a word is not waited for. */
export async function* unlessSilent(
  input: AsyncIterable<Uint8Array>,
  milliseconds: number,
): AsyncGenerator<Uint8Array> {
  const chunks = input[Symbol.asyncIterator]();
  for (;;) {
    const silence = Promise.withResolvers<never>();
    const timer = setTimeout(
      () =>
        silence.reject(new BerthError("migrate.failed", `nothing was heard for ${milliseconds / 1000} s`)),
      milliseconds,
    );
    const next = await Promise.race([chunks.next(), silence.promise]).finally(() => clearTimeout(timer));
    if (next.done === true) return;
    yield next.value;
  }
}

const RETRY_MS = 2;

/** Writes to a descriptor, waiting where a pipe is full. Throws where nobody reads. */
export const writingTo =
  (fd: number): Write =>
  async (bytes) => {
    for (let at = 0; at < bytes.length; )
      try {
        at += writeSync(fd, bytes, at);
      } catch (error) {
        if (errnoOf(error) !== "EAGAIN") throw error;
        await Bun.sleep(RETRY_MS);
      }
  };

/** A message in the words of a schema. Fails with migrate.failed naming the field. */
export function parseMessage<S extends v.GenericSchema>(schema: S, body: Uint8Array): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw new BerthError("migrate.failed", "a message of the other side is no JSON", "", error);
  }
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new BerthError(
    "migrate.failed",
    `a message of the other side is not understood: ${v.getDotPath(issue) ?? "message"}: ${issue.message}`,
    "the same version of berth on both sides helps",
  );
}

const outOfTurn = (kind: string | undefined): BerthError =>
  kind === undefined
    ? new BerthError("migrate.failed", "the line to the other side was cut")
    : new BerthError("migrate.failed", `the other side sent a ${kind} out of turn`);
