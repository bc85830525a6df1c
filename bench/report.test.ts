import { expect, test } from "bun:test";
import { goalText, judge, outcomeOf, tableText } from "./report.ts";
import { newSamples } from "./samples.ts";

const row = { by: "cycle", work: "exec", ours: "a", peer: "b", unit: "ms", goal: { atMost: 0.8 } } as const;

test("a ratio at the bound is met, one above it missed", () => {
  expect(judge({ atMost: 0.8 }, 0.8, 5)).toBe("met");
  expect(judge({ atMost: 0.8 }, 0.81, 5)).toBe("missed");
  expect(judge({ atLeast: 0.97 }, 0.96, 5)).toBe("missed");
  expect(judge({ atMost: 0.1, below: 100 }, 0.05, 100)).toBe("missed");
  expect(judge(undefined, 9, 5)).toBe("no goal");
});

test("the ratio is that of the medians", () => {
  const samples = newSamples();
  for (const value of [1, 2, 90]) samples.add("a", value);
  for (const value of [3, 4, 5]) samples.add("b", value);
  expect(outcomeOf(row, samples)).toMatchObject({ ratio: 0.5, verdict: "met", reason: null });
});

test("what was not measured says why", () => {
  const samples = newSamples();
  samples.add("a", 1);
  samples.absent.set("b", "crun does not work here: no");
  expect(outcomeOf(row, samples)).toMatchObject({
    verdict: "not measured",
    reason: "crun does not work here: no",
  });
});

test("the table holds figure, ratio and goal", () => {
  const samples = newSamples();
  samples.add("a", 8);
  samples.add("b", 10);
  expect(tableText([outcomeOf(row, samples)])).toContain("exec  8 ms   10 ms b  0.80   <= 0.8  met");
  expect(goalText({ atMost: 0.1, below: 100 })).toBe("<= 0.1, < 100 ms");
});
