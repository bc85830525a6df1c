import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { encodePlan, ops } from "./plan.ts";

test("the ops are those of native/plan.h", () => {
  const header = readFileSync(new URL("../../native/plan.h", import.meta.url), "utf8");
  const inC = Object.fromEntries(
    [...header.matchAll(/^\tOP_([A-Z0-9_]+) = (\d+),/gm)].map(([, name = "", number]) => [
      name.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      Number(number),
    ]),
  );
  expect(inC).toEqual({ ...ops });
});

test("a plan's bytes", () => {
  const bytes = Buffer.from(
    encodePlan([
      ["name", "web1"],
      ["oomScore", -5],
      ["seccomp", new Uint8Array([1, 0, 2])],
    ]),
  );
  expect(bytes.subarray(0, 8).toString()).toBe("BERTHPLN");
  expect([8, 12, 16, 20].map((at) => bytes.readUInt32LE(at))).toEqual([1, bytes.length, 3, 0]);
  // name: op 1, one argument, 4 + 4 + 1 bytes
  expect([bytes.readUInt16LE(24), bytes.readUInt16LE(26), bytes.readUInt32LE(28)]).toEqual([1, 1, 9]);
  expect(bytes.subarray(36, 41).toString()).toBe("web1\0");
});

test("NUL in text and oversized plans are defects", () => {
  expect(() => encodePlan([["name", "a\0b"]])).toThrow("NUL");
  expect(() => encodePlan([["seccomp", new Uint8Array(1 << 20)]])).toThrow("bytes");
});
