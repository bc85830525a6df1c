/** Runs a command through an agent to its end, within a limit. */
import type { Agent } from "./agent.ts";
import { limits, within } from "./deadline.ts";

export interface ExecOptions {
  /** Milliseconds until the command is killed. */
  readonly timeout?: number;
  readonly stdin?: string | Uint8Array | undefined;
}

export interface ExecResult {
  /** The exit code, 128 + signal when it was killed by one. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Whether it was killed at its limit; `silent` when the agent did not even confirm that. */
  readonly late: false | "killed" | "silent";
}

/** The command's argument vector: a text is bash's. */
export function argvOf(command: string | readonly string[]): readonly string[] {
  return typeof command === "string" ? ["bash", "-c", command] : command;
}

/** Runs a command; never throws for its exit code or for being late. */
export async function execute(
  agent: Agent,
  argv: readonly string[],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const output = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  const running = agent.start(argv, {
    stdout: (data) => output.stdout.push(data),
    stderr: (data) => output.stderr.push(data),
  });
  feed();
  let late: ExecResult["late"] = false;
  const code = await within(options.timeout ?? limits.command, running.exited, () => {
    late = "killed";
    running.kill(9);
    return within(limits.evidence, running.exited, () => {
      late = "silent";
      return -1;
    });
  });
  const text = (parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString();
  return { code, stdout: text(output.stdout), stderr: text(output.stderr), late };

  function feed(): void {
    const input = options.stdin === undefined ? new Uint8Array() : Buffer.from(options.stdin);
    running.write(input).then(running.endInput, () => undefined);
  }
}
