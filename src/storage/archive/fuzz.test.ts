/**
 * Whatever an archive holds, reading and unpacking it ends, in a tree or in an error that says what is wrong, and
 * touches nothing outside. BERTH_FUZZ_SECONDS asks for a longer run.
 */
import { beforeAll, expect, test } from "bun:test";
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { asBerthError } from "../../base/errors.ts";
import { testDirectory } from "../../base/test-directory.ts";
import { isRoot } from "../testing.ts";
import { BLOCK } from "./tar-header.ts";
import { readTar } from "./tar-reader.ts";
import { chunksOf, sealed, type TestMember, tarOf } from "./testing.ts";
import { unpack } from "./unpack.ts";
import { templatePolicy, type UnpackPolicy } from "./unpack-policy.ts";

const root = testDirectory("storage");
const outside = `${root}/outside`;
const seconds = Number(process.env.BERTH_FUZZ_SECONDS ?? 0);
const runs =
  seconds > 0
    ? { numRuns: 1e9, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false }
    : { numRuns: 500 };

const everything: UnpackPolicy = {
  hardLinks: "keep",
  keepsNode: ({ type }) => type === "fifo" || type === "socket",
  xattr: ({ name, value }) => (name.toString("latin1").startsWith("user.") ? { name, value } : undefined),
  owner: (id) => id & 0xffff,
};

const part = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom("a", "b", "c", ".", "", "\xff", "rootfs", "x".repeat(30)) },
  { weight: 1, arbitrary: fc.constant("..") },
);

/** Names that meet one another, so that links are written through and replaced. */
const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));

const records = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc.dictionary(
      fc.constantFrom(
        ...["path", "linkpath", "size", "uid", "mtime", "SCHILY.xattr.user.a", "SCHILY.acl.default"],
        ...[
          "GNU.sparse.map",
          "GNU.sparse.size",
          "GNU.sparse.major",
          "GNU.sparse.minor",
          "GNU.sparse.realsize",
        ],
      ),
      fc.oneof(
        name,
        fc.constantFrom("0", "1", "5", "517", "0,2,4,3", "1e9", "-1.5", "user::rwx,group::r--,other::---"),
      ),
      { maxKeys: 4 },
    ),
  },
);

const member: fc.Arbitrary<TestMember> = fc.record(
  {
    name,
    type: fc.constantFrom(
      "0",
      "0",
      "0",
      "1",
      "2",
      "3",
      "4",
      "5",
      "5",
      "6",
      "7",
      "x",
      "g",
      "L",
      "K",
      "S",
      "D",
      "V",
    ),
    link: fc.oneof(name, fc.constant(outside), fc.constant(`${outside}/secret`)),
    mode: fc.nat(0o7777),
    uid: fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(0, 1, 65535) },
      { weight: 1, arbitrary: fc.constant(65536) },
    ),
    content: fc.oneof(
      fc.string({ maxLength: 700 }),
      fc.constant("12 path=a/b\n"),
      fc.constant("1\n0\n5\n".padEnd(BLOCK, "\0").concat("hello")),
    ),
    pax: records,
  },
  { requiredKeys: ["name"] },
);

const change = fc.record({ at: fc.nat(), byte: fc.nat(255), seal: fc.boolean() });

/** Bytes changed here and there; mostly with checksums put right, so that what is behind them is reached. */
function mutate(archive: Buffer, changes: readonly { at: number; byte: number; seal: boolean }[]): Buffer {
  const mutated = Buffer.from(archive);
  for (const { at, byte, seal } of changes) {
    const where = at % mutated.length;
    mutated[where] = byte;
    const start = where - (where % BLOCK);
    if (seal) sealed(mutated.subarray(start, start + BLOCK));
  }
  return mutated;
}

beforeAll(() => {
  mkdirSync(outside);
  writeFileSync(`${outside}/secret`, "the host's");
});

test.skipIf(!isRoot)(
  "hostile archives end in a tree or in an error, and touch nothing outside",
  async () => {
    const before = lstatSync(`${outside}/secret`, { bigint: true });
    const property = fc.asyncProperty(
      fc.array(member, { minLength: 1, maxLength: 8 }),
      fc.oneof(fc.constant([]), fc.array(change, { maxLength: 4 })),
      fc.integer({ min: 1, max: 3000 }),
      fc.boolean(),
      async (members, changes, chunk, keep) => {
        const tree = `${root}/tree`;
        mkdirSync(tree);
        const archive = mutate(tarOf(...members), changes);
        const limits = { size: 1 << 20, space: 1 << 22, entries: 50 };
        try {
          await unpack(readTar(chunksOf(archive, chunk)), tree, keep ? everything : templatePolicy(), limits);
        } catch (error) {
          expect(asBerthError(error).code).toMatch(/^(archive|host)\./);
        }
        rmSync(tree, { recursive: true });
        expect(readdirSync(outside)).toEqual(["secret"]);
        expect(lstatSync(`${outside}/secret`, { bigint: true })).toEqual(before);
      },
    );
    await fc.assert(property, runs);
    expect(readFileSync(`${outside}/secret`, "utf8")).toBe("the host's");
  },
  60_000 + seconds * 1000,
);
