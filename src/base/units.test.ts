import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatDuration, formatSize, parseCount, parseDuration, parseSize } from "./units.ts";

describe("sizes", () => {
  test("binary units, with or without B and iB", () => {
    expect(parseSize("512M")).toBe(512 * 2 ** 20);
    expect(parseSize("10GiB")).toBe(10 * 2 ** 30);
    expect(parseSize("1.5g")).toBe(1.5 * 2 ** 30);
    expect(parseSize("42")).toBe(42);
    expect(parseSize("7kb")).toBe(7168);
  });
  test("what is no size", () => {
    for (const text of ["", "M", "-1M", "1X", "1 2M", "1e3", "0x10", "999999P"])
      expect(parseSize(text)).toBeUndefined();
  });
  test("a formatted whole number of units reads back", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1023 }), fc.constantFrom(0, 1, 2, 3, 4), (n, unit) => {
        const bytes = n * 1024 ** unit;
        expect(parseSize(formatSize(bytes))).toBe(bytes);
      }),
    );
  });
  test("the parser never throws", () => {
    fc.assert(
      fc.property(
        fc.string(),
        (text) => parseSize(text) === undefined || Number.isSafeInteger(parseSize(text)),
      ),
    );
  });
});

test("counts are decimal", () => {
  expect(parseCount("500k")).toBe(500_000);
  expect(parseCount("1.5k")).toBe(1500);
  expect(parseCount("0.3")).toBeUndefined();
});

test("durations", () => {
  expect(parseDuration("30s")).toBe(30);
  expect(parseDuration("250ms")).toBe(0.25);
  expect(parseDuration("2h")).toBe(7200);
  expect(parseDuration("soon")).toBeUndefined();
  expect(formatDuration(93784)).toBe("1d 2h");
  expect(formatDuration(0.4)).toBe("0s");
});
