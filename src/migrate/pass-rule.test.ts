import { describe, expect, test } from "bun:test";
import { isPassDue, isWorthPasses, LIKELY_RATE, MOST_PASSES, type Pass, timeLeft } from "./pass-rule.ts";

const MB = 1e6;
/** Passes of so many MB over a line that takes 100 MB a second. */
const passes = (...sizes: readonly number[]): Pass[] =>
  sizes.map((size) => ({ bytes: size * MB, milliseconds: size * 10 }));

/** How many passes are made over a guest that writes so many MB a second. */
function passesOver(memory: number, written: number, aim = 300): number {
  const made: Pass[] = [];
  for (let size = memory; isPassDue(made, aim); size = Math.min(memory, (size / 100) * written))
    made.push(...passes(size));
  return made.length;
}

describe("isPassDue", () => {
  test("the first always is", () => expect(isPassDue([], 300)).toBe(true));

  test("none follows when what is left is sent in time", () => {
    expect(isPassDue(passes(200), 300)).toBe(true);
    expect(isPassDue(passes(200, 31), 300)).toBe(true);
    expect(isPassDue(passes(200, 30), 300)).toBe(false);
    expect(isPassDue(passes(200, 0), 300)).toBe(false);
  });

  test("none follows one that is not clearly smaller than the one before", () => {
    expect(isPassDue(passes(1000, 700), 300)).toBe(true);
    expect(isPassDue(passes(1000, 800), 300)).toBe(false);
    expect(isPassDue(passes(1000, 1200), 300)).toBe(false);
  });

  test("a guest that writes little needs few, one that writes much is given up soon", () => {
    expect(passesOver(1000, 2)).toBe(2);
    expect(passesOver(1000, 30)).toBe(4);
    expect(passesOver(100_000, 70)).toBe(MOST_PASSES);
    expect(passesOver(1000, 90)).toBe(2);
  });
});

describe("timeLeft", () => {
  test("counts what the last one sent at the rate of the fastest", () => {
    const slow: Pass = { bytes: 1 * MB, milliseconds: 200 };
    expect(timeLeft([...passes(100), slow])).toBe(10);
    expect(timeLeft([])).toBe(Number.POSITIVE_INFINITY);
    expect(timeLeft([{ bytes: 0, milliseconds: 0 }])).toBe(0);
  });
});

test("memory that is sent in a moment is not worth passes", () => {
  expect(isWorthPasses(16 * MB, LIKELY_RATE, 300)).toBe(false);
  expect(isWorthPasses(18 * MB, LIKELY_RATE, 300)).toBe(true);
  expect(isWorthPasses(500 * MB, LIKELY_RATE, 10_000)).toBe(false);
});
