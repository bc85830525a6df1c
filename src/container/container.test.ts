import { describe, expect, test } from "bun:test";
import { BerthError } from "../base/errors.ts";
import { changedKeys } from "./change.ts";
import { parseSubids } from "./ids.ts";
import { within } from "./keeper.ts";
import { checkName } from "./name.ts";
import { describeExit } from "./status.ts";

describe("names", () => {
  for (const name of ["a", "web1", "101", "a-b", "x".repeat(63)])
    test(`${name} is one`, () => checkName(name));
  for (const name of [
    "",
    "-a",
    "a-",
    "A",
    "a_b",
    "a.b",
    "../x",
    "_keepers",
    ".lock",
    "a b",
    "x".repeat(64),
    "a\n",
  ]) {
    test(`${JSON.stringify(name)} is none`, () => expect(() => checkName(name)).toThrow(BerthError));
  }
});

test("keys that differ, nested ones by path", () => {
  const before = { memory: 1, network: { mode: "bridge", mtu: 1 }, init: ["a"] };
  expect(changedKeys(before, { memory: 2, network: { mode: "bridge" }, init: ["a"] })).toEqual([
    "memory",
    "network.mtu",
  ]);
});

test("subordinate ids", () => {
  expect(parseSubids("alice:100000:65536\nbroken\nbob:x:1\n")).toEqual([{ first: 100000, count: 65536 }]);
});

test("how a guest ended, in words", () => {
  const exit = { pid: 1, code: null, signal: null, kind: "exit" as const, oomKills: 0, time: 0 };
  expect(describeExit({ ...exit, kind: "halt", signal: 2 })).toBe("powered off");
  expect(describeExit({ ...exit, code: 3 })).toBe("init ended with code 3");
  expect(describeExit({ ...exit, kind: "killed", signal: 11 })).toBe("init crashed by SIGSEGV");
  expect(describeExit({ ...exit, kind: "killed", signal: 9, oomKills: 2 })).toContain(
    "killed 2 processes for want of memory",
  );
});

test("a wait that is over", async () => {
  expect(await within(new Promise(() => {}), 5, "late")).toBe("late");
  expect(await within(Promise.resolve(1), 1000, "late")).toBe(1);
});
