/** Waiting with a limit. */

/** Milliseconds for things that take seconds alone, on a machine that does other work at the same time. */
export const limits = {
  /** QEMU's monitor and the agent's answer after a restore. */
  restore: 90_000,
  /** From power on to an answering agent. */
  boot: 240_000,
  /** A command, when the test names no limit. */
  command: 120_000,
  /** Evidence from a host that just failed. */
  evidence: 10_000,
} as const;

/** The promise's value, or what `late` makes when it takes longer than `ms`. `late` usually throws. */
export async function within<T>(ms: number, promise: Promise<T>, late: () => T | Promise<T>): Promise<T> {
  const timer = Promise.withResolvers<"late">();
  const id = setTimeout(() => timer.resolve("late"), ms);
  try {
    const winner = await Promise.race([promise.then((value) => ({ value })), timer.promise]);
    return winner === "late" ? await late() : winner.value;
  } finally {
    clearTimeout(id);
  }
}

/** Tries until it does not throw, or throws the last error after `ms`. */
export async function retry<T>(ms: number, pause: number, attempt: () => Promise<T>): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > end) throw error;
      await Bun.sleep(pause);
    }
  }
}
