import { expect, test } from "bun:test";
import fc from "fast-check";
import { BerthError } from "../base/errors.ts";
import { byteReader } from "../storage/archive/byte-reader.ts";
import { openChannel, unlessSilent } from "./channel.ts";
import { frameHead, readFrame } from "./frames.ts";
import { answerSchema, requestSchema } from "./messages.ts";

const runs = { numRuns: Number(process.env.BERTH_FUZZ_RUNS ?? 2000) };

async function* chunksOf(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let from = 0;
  for (const cut of [...cuts, bytes.length].map((at) => at % (bytes.length + 1)).sort((a, b) => a - b)) {
    yield bytes.subarray(from, cut);
    from = cut;
  }
}

async function framesOf(bytes: Uint8Array, cuts: readonly number[]) {
  const reader = byteReader(chunksOf(bytes, cuts));
  const frames = [];
  for (let frame = await readFrame(reader); frame !== undefined; frame = await readFrame(reader))
    frames.push(frame);
  return frames;
}

const cuts = fc.array(fc.nat(4096), { maxLength: 8 });

test("frames come out as they went in, however the stream is cut into chunks", async () => {
  const frame = fc.record({
    kind: fc.constantFrom("message", "data"),
    body: fc.uint8Array({ maxLength: 600 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { maxLength: 6 }), cuts, async (frames, at) => {
      const bytes = Buffer.concat(
        frames.flatMap(({ kind, body }) => [frameHead(kind as "message" | "data", body.length), body]),
      );
      const read = await framesOf(bytes, at);
      expect(read.map(({ kind }) => kind)).toEqual(frames.map(({ kind }) => kind) as typeof kinds);
      expect(read.map((one) => ("body" in one ? Buffer.from(one.body).toString("hex") : ""))).toEqual(
        frames.map(({ body }) => Buffer.from(body).toString("hex")),
      );
    }),
    { numRuns: 200 },
  );
});
const kinds: ("message" | "data" | "end")[] = [];

test("a beat may come between any two frames and is nothing; without one a silent line ends", async () => {
  const beat = frameHead("beat", 0);
  const bytes = Buffer.concat([
    beat,
    beat,
    frameHead("data", 1),
    Buffer.of(7),
    beat,
    frameHead("end", 0),
    beat,
  ]);
  expect((await framesOf(bytes, [3, 12])).map(({ kind }) => kind)).toEqual(["data", "end"]);
  async function* slowly(pause: number): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < 3; n++) {
      await Bun.sleep(pause);
      yield beat;
    }
  }
  const heard = async (pause: number): Promise<unknown> =>
    await Array.fromAsync(unlessSilent(slowly(pause), 150)).then(
      (chunks) => chunks.length,
      (error: unknown) => error,
    );
  expect(await heard(10)).toBe(3);
  expect(await heard(2000)).toMatchObject({
    code: "migrate.failed",
    message: "nothing was heard for 0.15 s",
  });
});

test("any bytes end in frames or in an error of berth's", async () => {
  const head = fc
    .tuple(fc.constantFrom(0x4d, 0x44, 0x45, 0), fc.nat(2 ** 32 - 1), fc.uint8Array({ maxLength: 40 }))
    .map(([kind, length, body]) => {
      const bytes = Buffer.alloc(5 + body.length);
      bytes.writeUInt8(kind, 0);
      bytes.writeUInt32BE(length % 64, 1);
      bytes.set(body, 5);
      return new Uint8Array(bytes);
    });
  const stream = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(head, { maxLength: 5 }).map((heads) => new Uint8Array(Buffer.concat(heads))),
  );
  await fc.assert(
    fc.asyncProperty(stream, cuts, async (bytes, at) => {
      await framesOf(bytes, at).catch((error: unknown) => expect(error).toBeInstanceOf(BerthError));
    }),
    runs,
  );
});

test("any message ends in one of the schema or in an error of berth's", async () => {
  const type = fc.constantFrom(
    "hello",
    "offer",
    "clear",
    "layer",
    "standing",
    "settle",
    "terms",
    "failed",
    "x",
  );
  const message = fc.oneof(
    fc.json(),
    fc
      .tuple(type, fc.dictionary(fc.string(), fc.jsonValue()))
      .map(([one, rest]) => JSON.stringify({ ...rest, type: one })),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  );
  await fc.assert(
    fc.asyncProperty(message, fc.constantFrom(requestSchema, answerSchema), async (text, schema) => {
      const body = Buffer.from(text, "latin1");
      const channel = openChannel(
        chunksOf(Buffer.concat([frameHead("message", body.length), body]), []),
        async () => {},
      );
      await channel
        .receive<typeof requestSchema | typeof answerSchema>(schema)
        .then((heard) => expect(typeof heard?.type).toBe("string"))
        .catch((error: unknown) => expect(error).toBeInstanceOf(BerthError));
    }),
    runs,
  );
});

test("what is no berth is told by what it says", async () => {
  expect(framesOf(Buffer.from("Welcome to host2!\n"), [])).rejects.toThrow(/begins with "Welco"/);
});
