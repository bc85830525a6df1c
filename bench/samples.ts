/** Collecting figures: named series, and programs that are run and timed. */
import { closeSync, openSync, readFileSync } from "node:fs";

export type Samples = {
  readonly series: Map<string, number[]>;
  /** Series that cannot be measured here, and why. */
  readonly absent: Map<string, string>;
  readonly add: (name: string, value: number) => void;
};

/** An empty collection. */
export function newSamples(): Samples {
  const series = new Map<string, number[]>();
  return {
    series,
    absent: new Map(),
    add: (name, value) => {
      const known = series.get(name);
      if (known === undefined) series.set(name, [value]);
      else known.push(value);
    },
  };
}

export type Stopwatch = (...argv: readonly string[]) => number;

/**
 * A stopwatch for programs in this environment: runs one without input and gives the milliseconds from its start to its
 * end. Throws with what it said when it fails. `dir` is for a file of the bench's own.
 */
export function stopwatch(env: Record<string, string>, dir: string): Stopwatch {
  const words = `${dir}/last-words`;
  return (...argv) => {
    // A file, not a pipe: what stays behind as a daemon would keep a pipe open.
    const stderr = openSync(words, "w");
    try {
      const since = performance.now();
      const { exitCode } = Bun.spawnSync([...argv], { env, stdin: "ignore", stdout: "ignore", stderr });
      const took = performance.now() - since;
      if (exitCode === 0) return took;
      throw new Error(`${argv.join(" ")}: exit code ${exitCode}: ${readFileSync(words, "utf8").trim()}`);
    } finally {
      closeSync(stderr);
    }
  };
}

/** A child that does one round for each line it gets and answers with the figure. */
export type Stepper = { readonly step: () => Promise<number>; readonly end: () => Promise<void> };

/** Starts such a child. */
export function stepper(argv: readonly string[], env: Record<string, string>): Stepper {
  const child = Bun.spawn([...argv], { env, stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const lines = linesOf(child.stdout);
  return {
    step: async () => {
      child.stdin.write("\n");
      await child.stdin.flush();
      const { value, done } = await lines.next();
      if (done) throw new Error(`${argv[0]} ended before its round was over`);
      return Number(value);
    },
    end: async () => {
      await child.stdin.end();
      await child.exited;
    },
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
  return undefined;
}
