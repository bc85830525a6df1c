/** BERTH_TRACE=1: what happened in which millisecond, a line a step on stderr. */
import { writeSync } from "node:fs";

export const tracing = process.env.BERTH_TRACE === "1";

const STDERR = 2;
let last = 0;

/** Prints milliseconds since the process began, those since the last step, and the step that has just ended. */
export function trace(step: string): void {
  if (!tracing) return;
  const now = performance.now();
  writeSync(STDERR, `trace ${now.toFixed(2)} +${(now - last).toFixed(2)} ${step}\n`);
  last = now;
}
