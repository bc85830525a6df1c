/**
 * Running berth-audit, the attacker, and reading what it says. In a guest it runs among hostile neighbours that may trace it:
 * what comes out is text of the guest's, taken only as far as it is one of the lines that are expected.
 */
import * as v from "valibot";
import { BerthError } from "../base/errors.ts";
import { binaryPath } from "../kernel/binaries.ts";

const attemptSchema = v.object({
  id: v.string(),
  what: v.string(),
  cve: v.string(),
  control: v.string(),
  /** Made only in a guest of the audit's own: it would disturb others in the guest. */
  sandbox: v.boolean(),
});

/** One thing that is tried; `control` says where it works and how that looks. */
export type Attempt = Readonly<v.InferOutput<typeof attemptSchema>>;

const outcomeSchema = v.object({
  id: v.string(),
  outcome: v.picklist(["blocked", "through"]),
  errno: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(4095)),
  detail: v.pipe(v.string(), v.regex(/^[ -~]{0,95}$/)),
});

/** How one attempt ended. `errno` 0 where it was no error that stopped it. */
export type Outcome = Readonly<Omit<v.InferOutput<typeof outcomeSchema>, "id">>;

/** What a run of the attacker found, by attempt. An attempt without an outcome was lost. */
export type Run = ReadonlyMap<string, Outcome>;

/** What attempts need to know of the host, as KEY=VALUE words. */
export type Facts = readonly string[];

let known: readonly Attempt[] | undefined;

/** Every attempt, as the attacker itself lists them. */
export function attempts(): readonly Attempt[] {
  known ??= Bun.spawnSync([binaryPath("berth-audit"), "list"])
    .stdout.toString()
    .trim()
    .split("\n")
    .map((line) => v.parse(attemptSchema, JSON.parse(line)));
  return known;
}

/** The lines of a run. What is said twice about an attempt is not believed. */
export function parseRun(text: string, ids: ReadonlySet<string>): Run {
  const run = new Map<string, Outcome>();
  const twice = new Set<string>();
  for (const line of text.split("\n")) {
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), outcomeSchema), line);
    if (!parsed.success || !ids.has(parsed.output.id)) continue;
    const { id, ...outcome } = parsed.output;
    if (run.has(id)) twice.add(id);
    run.set(id, outcome);
  }
  for (const id of twice) run.delete(id);
  return run;
}

/** A guest that prints without end, or keeps the attacker from ending, is not waited for. */
const MOST_OUTPUT = 1 << 18;
const PATIENCE_MS = 120_000;

const attackWords = (only: readonly string[], facts: Facts): readonly string[] => [
  ...only.flatMap((id) => ["--only", id]),
  ...facts,
];

/** On the host, from a process that was started as carelessly as can be: the control. */
export const attackFromHost = (only: readonly string[], facts: Facts): Promise<Run> =>
  collect([binaryPath("berth-audit"), "sloppy", ...attackWords(only, facts)], "the control");

/** In the guest of these records (native/README.md), entered as `berth exec` enters it. */
export function attackInGuest(
  runDir: string,
  only: readonly string[],
  facts: Facts,
  user = "0",
): Promise<Run> {
  const program = binaryPath("berth-audit");
  return collect(
    [
      binaryPath("berth-launch"),
      "attach",
      ...["--program", program, "--user", user, "--cwd", "/", "--tty", "never", runDir, "--"],
      ...["berth-audit", "attack", ...attackWords(only, facts)],
    ],
    "the attacker",
  );
}

async function collect(argv: readonly string[], who: string): Promise<Run> {
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe", env: {} });
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const [stdout, stderr, code] = await Promise.all([
    readAtMost(child.stdout, MOST_OUTPUT, () => child.kill("SIGKILL")),
    readAtMost(child.stderr, MOST_OUTPUT, () => child.kill("SIGKILL")),
    child.exited,
  ]);
  clearTimeout(timer);
  const run = parseRun(stdout, new Set(attempts().map(({ id }) => id)));
  if (run.size > 0) return run;
  throw new BerthError(
    "container.attach-failed",
    `${who} could not be run: ${stderr.trim().split("\n").at(-1) || `exit code ${code}`}`,
    "`berth exec` into the same guest shows more",
  );
}

async function readAtMost(
  stream: ReadableStream<Uint8Array>,
  most: number,
  end: () => void,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > most) {
      end();
      break;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
