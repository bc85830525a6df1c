/** Runs a program of the host and collects what it prints. Arguments are never seen by a shell. */
import { BerthError, errnoOf, interrupted } from "../base/errors.ts";

export type RunOptions = {
  /** Debian package that has the program: named when it is missing. */
  readonly package: string;
  readonly input?: string;
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal;
};

export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/**
 * Exit code and output; a signal counts as 128 + N. Throws host.missing-program when there is no such program, and
 * interrupted when a Ctrl-C came before it had left our terminal.
 */
export async function runProgram(argv: readonly string[], options: RunOptions): Promise<RunResult> {
  const child = spawnOrExplain(argv, options);
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (child.signalCode === "SIGINT") throw interrupted(child.signalCode);
  return { code, stdout, stderr };
}

/** Like runProgram, but a failure is an error that carries the last line printed. */
export async function mustRun(argv: readonly string[], options: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await runProgram(argv, options);
  if (code === 0) return stdout;
  const words = stderr.trim().split("\n").slice(-3).join("; ") || `exit code ${code}`;
  throw new BerthError("host.command-failed", `${argv.join(" ")}: ${words}`, "run it by hand to see more");
}

function spawnOrExplain(argv: readonly string[], options: RunOptions) {
  try {
    return Bun.spawn([...argv], {
      stdin: options.input === undefined ? "ignore" : Buffer.from(options.input),
      stdout: "pipe",
      stderr: "pipe",
      detached: true, // a Ctrl-C is for us: what is under way may have to be undone by this program
      env: {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        LC_ALL: "C.UTF-8",
        ...options.env,
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") {
      throw new BerthError(
        "host.missing-program",
        `the program ${argv[0]} is not installed`,
        `apt-get install ${options.package}`,
        error,
      );
    }
    throw error;
  }
}
