import { expect, test } from "bun:test";
import { closest } from "./closest.ts";

test("finds the nearest within reach", () => {
  expect(closest("strat", ["start", "stop", "restart"])).toBe("start");
  expect(closest("debain-13", ["debian-12", "debian-13"])).toBe("debian-13");
  expect(closest("wbe1", ["web1"])).toBe("web1");
});

test("offers nothing far away", () => {
  expect(closest("x", ["start", "stop"])).toBeUndefined();
  expect(closest("create", [])).toBeUndefined();
});
