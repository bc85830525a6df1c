/** What the lab tells while it builds: one line a step, on stderr, silent with BERTH_LAB_QUIET=1. */

/** Reports one line. */
export function report(line: string): void {
  if (process.env.BERTH_LAB_QUIET !== "1") process.stderr.write(`lab: ${line}\n`);
}

/** Runs a step and reports what it is and how long it took. */
export async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const begin = performance.now();
  report(`${name} ...`);
  const result = await work();
  report(`${name}: ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  return result;
}
