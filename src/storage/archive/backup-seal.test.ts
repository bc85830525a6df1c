import { expect, test } from "bun:test";
import fc from "fast-check";
import { sealCheck, sealing } from "./backup-seal.ts";

async function sealed(content: Uint8Array): Promise<{ readonly bytes: Buffer; readonly sha256: string }> {
  const parts: Buffer[] = [];
  const seal = sealing(async (bytes) => {
    parts.push(Buffer.from(bytes));
  });
  await seal.write(content);
  const sha256 = await seal.end();
  return { bytes: Buffer.concat(parts), sha256 };
}

/** The verdict on the bytes as they come in pieces of the given sizes, over and over. */
async function verdict(bytes: Buffer, sizes: readonly number[]): Promise<string> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
      const size = sizes[turn % sizes.length] ?? 1;
      yield bytes.subarray(at, at + size);
      at += size;
    }
  }
  const check = sealCheck(pieces(), "f.tar");
  const through: Buffer[] = [];
  for await (const chunk of check.chunks) through.push(Buffer.from(chunk));
  expect(Buffer.concat(through).equals(bytes)).toBe(true);
  return check.verdict();
}

const content = fc.uint8Array({ maxLength: 5000 });
const sizes = fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 5 });

test("what was sealed is whole, however it comes", async () => {
  await fc.assert(
    fc.asyncProperty(content, sizes, async (data, pieces) => {
      const { bytes, sha256 } = await sealed(data);
      expect(await verdict(bytes, pieces)).toBe(sha256);
    }),
    { numRuns: 100 },
  );
});

test("a bit that differs, bytes that lack or are too many: anywhere, it is refused", async () => {
  const change = fc.record({
    kind: fc.constantFrom("flip", "cut", "more", "double"),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    bit: fc.integer({ min: 0, max: 7 }),
  });
  await fc.assert(
    fc.asyncProperty(content, sizes, change, async (data, pieces, { kind, at, bit }) => {
      const { bytes } = await sealed(data);
      const where = Math.floor(at * bytes.length);
      const flipped = Buffer.from(bytes);
      flipped[where] = (flipped[where] ?? 0) ^ (1 << bit);
      const changed = {
        flip: flipped,
        cut: bytes.subarray(0, where),
        more: Buffer.concat([bytes, Buffer.alloc(1 + where)]),
        double: Buffer.concat([bytes, bytes]),
      }[kind];
      await expect(verdict(changed, pieces)).rejects.toMatchObject({ code: "archive.damaged" });
    }),
    { numRuns: 300 },
  );
});
