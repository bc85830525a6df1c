/** When memory is sent in passes while a guest works, and when enough of them were made. Pure. */

export type Pass = {
  /** Bytes that it had to send. */
  readonly bytes: number;
  /** How long writing and sending them took. */
  readonly milliseconds: number;
};

/** How many are made at most: a guest that writes faster than the line sends is not caught up with. */
export const MOST_PASSES = 5;

/** A pass that is not smaller than so much of the one before wins nothing more. */
const CLEARLY_SMALLER = 0.75;

/** Bytes a millisecond where nothing is known of the line: a gigabit. */
export const LIKELY_RATE = 115_000;

/** Whether sending all of the memory takes long enough for passes to win something: half of what it may take. */
export const isWorthPasses = (memory: number, rate: number, aim: number): boolean => memory / rate > aim / 2;

/** How many milliseconds it takes to send what a guest writes in a pass, as far as the passes so far tell. */
export function timeLeft(passes: readonly Pass[]): number {
  const last = passes.at(-1);
  if (last === undefined) return Number.POSITIVE_INFINITY;
  // A small pass takes what any takes: the largest tells best what the line can do.
  const rate = Math.max(...passes.map(({ bytes, milliseconds }) => bytes / milliseconds));
  return last.bytes === 0 ? 0 : last.bytes / rate;
}

/** Whether another pass is to follow these, so that what is left can be sent in `aim` milliseconds. */
export function isPassDue(passes: readonly Pass[], aim: number): boolean {
  if (passes.length === 0) return true;
  const [before, last] = passes.slice(-2);
  if (passes.length >= MOST_PASSES || timeLeft(passes) <= aim) return false;
  return before === undefined || last === undefined || last.bytes < before.bytes * CLEARLY_SMALLER;
}
