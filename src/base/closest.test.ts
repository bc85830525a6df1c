import { expect, test } from "bun:test";
import { closest, distance } from "./closest.ts";

test("distance counts insertions, deletions, substitutions and swaps of neighbours", () => {
  expect(distance("", "")).toBe(0);
  expect(distance("abc", "")).toBe(3);
  expect(distance("start", "strat")).toBe(1);
  expect(distance("memory", "memry")).toBe(1);
  expect(distance("kitten", "sitting")).toBe(3);
});

test("closest finds what was meant and nothing far-fetched", () => {
  expect(closest("strat", ["stop", "start", "restart"])).toBe("start");
  expect(closest("debian13", ["debian-12", "debian-13"])).toBe("debian-13");
  expect(closest("deb", ["ubuntu", "debian-13"])).toBe("debian-13");
  expect(closest("xyz", ["start", "stop"])).toBeUndefined();
  expect(closest("ab", ["xy"])).toBeUndefined();
  expect(closest("start", [])).toBeUndefined();
});
