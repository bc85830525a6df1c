import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type DestinationMark, decide, type SourceMark, steps } from "./phases.ts";

const sources: readonly Exclude<SourceMark, "none">[] = ["moving", "committing", "gone"];
const destinations: readonly DestinationMark[] = ["none", "receiving", "ready", "arrived"];

/** Who may let it run by what the two records say: the source until it asks, the destination once it noted it. */
const mayRun = (source: SourceMark, destination: DestinationMark): readonly string[] => [
  ...(source === "none" || source === "moving" ? ["source"] : []),
  ...(destination === "arrived" ? ["destination"] : []),
];

test("at no step may both sides let it run, and the one that may is the one that has it", () => {
  for (const { step, source, destination, has } of steps)
    expect({ step, run: mayRun(source, destination) }).toEqual({ step, run: has === "nobody" ? [] : [has] });
});

test("whatever the two records say, what the source decides leaves exactly one that has it", () => {
  for (const source of sources)
    for (const destination of destinations) {
      const decision = decide(source, destination);
      // "ask": the destination notes that it has it. "stay": it removes what it got.
      const there = destination === "arrived" || decision === "ask" ? "arrived" : "none";
      const here = decision === "stay" ? "none" : "gone";
      if (source === "gone" && destination !== "arrived") continue; // it was told so, or a person said so
      expect({ source, destination, run: mayRun(here, there).length }).toEqual({
        source,
        destination,
        run: 1,
      });
    }
});

test("the manual's table is this one", () => {
  const manual = readFileSync(`${import.meta.dir}/../../docs/migration.md`, "utf8");
  for (const { step, source, destination, has, onFailure } of steps)
    expect(manual).toContain(`| ${step} | ${source} | ${destination} | ${has} | ${onFailure} |`);
});
