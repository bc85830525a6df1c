/** The machine that was measured on, and how quiet it was. */
import { cpus, loadavg, release, totalmem } from "node:os";
import { figureOf } from "./report.ts";

export type Machine = {
  readonly kernel: string;
  readonly processor: string;
  readonly processors: number;
  readonly memory: number;
  /** Mean number of processes that wanted to run in the minute before. */
  readonly loadBefore: number;
};

/** Call it before anything is measured. */
export const machine = (): Machine => ({
  kernel: release(),
  processor: cpus()[0]?.model ?? "unknown",
  processors: cpus().length,
  memory: totalmem(),
  loadBefore: loadavg()[0] ?? Number.NaN,
});

/** Whether figures can be trusted: how busy it was, and how much the floor, which only waits for the kernel, varied. */
export type Quiet = { readonly quiet: boolean; readonly text: string };

const LOAD = 0.5;
const SPREAD = 1.5;

/** Judges by the load before and by the 90th percentile of the floor against its median. */
export function quietness({ loadBefore }: Machine, floor: readonly number[]): Quiet {
  const sorted = [...floor].sort((a, b) => a - b);
  const middle = figureOf(floor)?.median ?? Number.NaN;
  const spread = (sorted[Math.floor(sorted.length * 0.9)] ?? Number.NaN) / middle;
  const quiet = loadBefore <= LOAD && !(spread > SPREAD);
  const floorText =
    floor.length === 0
      ? ""
      : `; floor ${middle.toFixed(2)} ms, nine of ten rounds within ${spread.toFixed(2)} times that`;
  return {
    quiet,
    text: `load before ${loadBefore.toFixed(2)}${floorText}${quiet ? "" : ": not quiet, the figures are rough"}`,
  };
}
