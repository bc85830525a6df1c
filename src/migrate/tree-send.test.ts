import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import fc from "fast-check";
import { silent } from "../base/progress.ts";
import { removeXattr, setXattr, xattrsOf } from "../kernel/xattr.ts";
import { nothingWritten } from "../storage/archive/backup-writer.ts";
import { isRoot, temporaryRoot } from "../storage/testing.ts";
import type { Request } from "./messages.ts";
import type { SourceLine } from "./source-line.ts";
import { clearNames, receiveTree } from "./tree-receive.ts";
import { changesBetween, nothingSent, sendPass, surveyTree } from "./tree-send.ts";

const { root, drop } = temporaryRoot();
const from = `${root}/from`;
const to = `${root}/to`;
beforeAll(() => mkdirSync(root, { recursive: true }));
afterAll(drop);
function emptied(): void {
  for (const dir of [from, to]) {
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir);
  }
}
beforeEach(emptied);

/** The destination's end without a line. */
function lineInto(target: string): SourceLine {
  const unused = async (): Promise<never> => {
    throw new Error("not asked for here");
  };
  const bytes = (names: readonly string[]) => names.map((name) => Buffer.from(name, "base64"));
  return {
    host: { berth: "", kernel: "", architecture: "", cpuFlags: [], apparmor: "off", mtu: 1500, clock: 0 },
    ask: async (request: Request) => {
      if (request.type === "clear") clearNames(target, bytes(request.gone), bytes(request.renewed));
    },
    askFor: unused,
    askWithBulk: async (_, work) => {
      const parts: Buffer[] = [];
      await work(async (part) => void parts.push(Buffer.from(part)));
      async function* chunks() {
        yield Buffer.concat(parts);
      }
      await receiveTree(chunks(), target, 0);
      return 0;
    },
    isCut: () => false,
    sent: () => 0,
    limit: () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

function linesOf(dir: string, inodes = new Map<string, number>()): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" })
    .concat([""])
    .sort()
    .map((name) => {
      const path = `${dir}/${name}`;
      const stat = lstatSync(path);
      const key = `${stat.dev} ${stat.ino}`;
      if (!inodes.has(key)) inodes.set(key, inodes.size);
      const content = stat.isFile()
        ? readFileSync(path, "latin1")
        : stat.isSymbolicLink()
          ? readlinkSync(path)
          : "";
      const xattrs = xattrsOf(path).map((xattr) => `${xattr.name}=${xattr.value.toString("hex")}`);
      const link = stat.isDirectory() ? "" : `${inodes.get(key)} ${stat.nlink} ${stat.mtimeMs}`;
      return [name, stat.mode.toString(8), stat.uid, link, content, ...xattrs].join(" ");
    });
}

const paths = ["a", "b", "c", "a/d", "a/e", "b/d", "b/e", "a/d/f", "c/g", "c/g/h"];

/** One random change; what cannot be done is left. */
function change(random: (below: number) => number): void {
  const path = (): string => `${from}/${paths[random(paths.length)] ?? "a"}`;
  const one = path();
  const acts: readonly (() => void)[] = [
    () => mkdirSync(one),
    () => writeFileSync(one, `${random(1000)}`),
    () => writeFileSync(one, `${random(1000)}`, { flag: "r+" }),
    () => symlinkSync(`${random(10)}`, one),
    () => linkSync(one, path()),
    () => renameSync(one, path()),
    () => rmSync(one, { recursive: true }),
    () => chmodSync(one, 0o600 + random(64)),
    () => utimesSync(one, random(1000), random(1000)),
    () => setXattr(one, { name: Buffer.from("user.x"), value: Buffer.from(`${random(9)}`) }),
    () => setXattr(one, { name: Buffer.from("trusted.overlay.opaque"), value: Buffer.from("y") }),
    () => removeXattr(one, Buffer.from("user.x")),
    () => removeXattr(one, Buffer.from("trusted.overlay.opaque")),
  ];
  try {
    acts[random(acts.length)]?.();
  } catch {} // not at this moment
}

const property = fc.asyncProperty(fc.gen(), async (generate) => {
  const random = (below: number): number => generate(fc.nat, { max: below - 1 });
  emptied();
  let survey = nothingSent;
  for (let pass = 0; pass < 4; pass += 1) {
    for (let step = random(25); step > 0; step -= 1) change(random);
    const tree = { path: from, baseUid: 0, live: false };
    ({ survey } = await sendPass(lineInto(to), tree, survey, nothingWritten(), silent));
    expect({ pass, tree: linesOf(to) }).toEqual({ pass, tree: linesOf(from) });
  }
});

test.skipIf(!isRoot)(
  "after each pass the other side has the same tree, whatever changed meanwhile",
  async () => {
    await fc.assert(property, { numRuns: Number(process.env.BERTH_FUZZ_RUNS ?? 60) });
  },
  600_000,
);

test.skipIf(!isRoot)("what has not changed is not sent again", async () => {
  mkdirSync(`${from}/a`);
  writeFileSync(`${from}/a/one`, "1");
  writeFileSync(`${from}/a/two`, "2");
  await Bun.sleep(50); // younger than this a change may not show in ctime
  const before = await surveyTree(from);
  expect(changesBetween(before, await surveyTree(from)).changed.size).toBe(0);
  writeFileSync(`${from}/a/two`, "3");
  expect([...changesBetween(before, await surveyTree(from)).changed]).toEqual(["a/two"]);
});
