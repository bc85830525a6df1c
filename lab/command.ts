/** Programs of the machine itself: apt-get, mmdebstrap, mke2fs, qemu-img. */
import { labError, tail } from "./error.ts";

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
}

/** Runs a program to its end and gives its standard output as bytes. Throws with the tail of its stderr when it fails. */
export async function commandBytes(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<Uint8Array> {
  const child = Bun.spawn([...argv], {
    env: { ...process.env, ...options.env },
    stdin: options.stdin ?? "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).bytes(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) {
    throw labError(`${argv[0]} failed with exit code ${code}: ${argv.join(" ")}`, [
      { title: "stdout", text: tail(new TextDecoder().decode(stdout), 20) },
      { title: "stderr", text: tail(stderr, 40) },
    ]);
  }
  return stdout;
}

/** Like commandBytes, for text; the trailing newline is cut off. */
export async function command(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  return new TextDecoder().decode(await commandBytes(argv, options)).trimEnd();
}

/** The same program at a lower priority: building is never urgent. */
export function niced(argv: readonly string[]): readonly string[] {
  return ["nice", "-n", "5", ...argv];
}
