import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { claim, claimant, writeAtomic } from "./files.ts";
import { instanceOf } from "./paths.ts";
import { testDirectory } from "./test-directory.ts";
import { withUndo } from "./undo.ts";

const dir = testDirectory("files");

test("an atomic write replaces the whole file and leaves nothing beside it", () => {
  writeAtomic(`${dir}/a`, "old and long");
  writeAtomic(`${dir}/a`, "new");
  expect(readFileSync(`${dir}/a`, "utf8")).toBe("new");
  expect(readdirSync(dir)).toEqual(["a"]);
  expect(statSync(`${dir}/a`).mode & 0o777).toBe(0o600);
});

test("a failed atomic write keeps the old content", () => {
  writeAtomic(`${dir}/b`, "old");
  expect(() => writeAtomic(`${dir}/b/c`, "new")).toThrow();
  expect(readFileSync(`${dir}/b`, "utf8")).toBe("old");
});

test("a claim is given once, and says whose it is", () => {
  expect(claim(`${dir}/claim`, "one")).toBe(true);
  expect(claim(`${dir}/claim`, "two")).toBe(false);
  expect(claimant(`${dir}/claim`)).toBe("one");
  expect(claimant(`${dir}/nothing`)).toBeUndefined();
});

test("undo runs backwards and keeps the first error", async () => {
  const done: string[] = [];
  const work = withUndo(async ({ push }) => {
    push(() => void done.push("first"));
    push(() => {
      done.push("second");
      throw new Error("stuck");
    });
    throw new Error("broke");
  });
  await expect(work).rejects.toThrow("broke; undoing it failed as well: stuck");
  expect(done).toEqual(["second", "first"]);
});

test("instances with different roots share no name", () => {
  const [a, b, own] = [instanceOf("/tmp/a"), instanceOf("/tmp/b"), instanceOf(undefined)];
  for (const key of ["lib", "run", "cgroup", "bridge", "nftTable", "linkPrefix"] as const) {
    expect(new Set([a[key], b[key], own[key]]).size).toBe(3);
  }
  expect(a.bridge.length).toBeLessThanOrEqual(15);
});
