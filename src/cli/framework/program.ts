/** One run of berth: words to a command, the command's run, its outcome to an exit code. */
import { BerthError, exitCodes } from "../../base/errors.ts";
import type { Progress } from "../../base/progress.ts";
import { trace } from "../../base/trace.ts";
import { onWarning } from "../../base/warning.ts";
import { windowSize, writeAll } from "../../kernel/terminal.ts";
import type { Command, CommandContext, CommandTable } from "./command.ts";
import { catchInterrupt, type Interrupt } from "./interrupt.ts";
import { makeOutput } from "./output.ts";
import { asksForHelp, asksForJson, type Parsed, parse } from "./parse.ts";
import { type ProgressMode, type ProgressRenderer, progressRenderer } from "./render-progress.ts";
import { reportError } from "./report.ts";
import { groupOf, loadAll, loadGroup, resolve } from "./resolve.ts";

/** What `exec`, `enter` and `run` exit with when berth and not the guest's program failed. */
const OWN_FAILURE = 125;
const STDOUT = 1;
const STDERR = 2;

/** Runs the command line (without program name). Prints everything itself; returns the exit code. */
export async function runProgram(
  table: CommandTable,
  argv: readonly string[],
  version: string,
): Promise<number> {
  const leading = argv.findIndex((word) => !word.startsWith("-"));
  const early = leading < 0 ? argv : argv.slice(0, leading);
  const json = early.includes("--json");
  try {
    const unknown = early.find((word) => !topLevelOptions.has(word));
    if (unknown !== undefined)
      throw new BerthError(
        "usage.bad-argument",
        `berth has no option ${unknown}`,
        'options of a command stand behind its name; see "berth --help"',
      );
    if (early.includes("--version") || early.includes("-V")) {
      makeOutput(json).result({ version }, () => `berth ${version}`);
      return exitCodes.ok;
    }
    const words = argv.slice(Math.max(0, leading));
    const wantsHelp = early.some(isHelp) || (words.length === 2 && words.some(isHelp));
    const overview = await overviewOf(table, leading < 0 ? [] : words);
    if (overview !== undefined) {
      writeAll(wantsHelp ? STDOUT : STDERR, overview);
      return wantsHelp ? exitCodes.ok : exitCodes.usage;
    }
    const { command, words: own } = await resolve(table, words);
    trace("command loaded");
    // Common options may stand before the command as well.
    return await runCommand(command, [...early, ...own]);
  } catch (error) {
    return reportError(error, json || argv.includes("--json")).exitCode;
  }
}

const topLevelOptions = new Set(["--json", "--quiet", "-q", "--help", "-h", "--version", "-V"]);

const isHelp = (word: string): boolean => word === "--help" || word === "-h";

/** What there is to choose from, for words that name no command yet: none at all, or a group's alone. */
async function overviewOf(table: CommandTable, words: readonly string[]): Promise<string | undefined> {
  if (words.length > 0 && groupOf(table, words) === undefined) return undefined;
  const { groupHelp, overview } = await import("./help.ts");
  const group = groupOf(table, words);
  if (group === undefined) return overview(await loadAll(table));
  return groupHelp(words[0] ?? "", group.summary, await loadGroup(group));
}

async function runCommand(command: Command, words: readonly string[]): Promise<number> {
  if (asksForHelp(command, words)) {
    const { commandHelp } = await import("./help.ts");
    writeAll(STDOUT, commandHelp(command));
    return exitCodes.ok;
  }
  const running: Running = {};
  try {
    const parsed = parse(command, words);
    const context = contextOf(parsed, running);
    onWarning((text) => warnBy(parsed, running, text));
    const code = await command.run(context);
    trace("command done");
    running.renderer?.clear();
    // What was done when the signal came, or past the point of no return, is a success.
    return code ? (running.interrupt?.exitCode() ?? code) : exitCodes.ok;
  } catch (error) {
    running.renderer?.clear();
    const failure = reportError(error, asksForJson(command, words));
    const interrupted = running.interrupt?.exitCode();
    return interrupted ?? (command.passesExitCode ? OWN_FAILURE : failure.exitCode);
  }
}

type Running = { renderer?: ProgressRenderer; interrupt?: Interrupt };

function contextOf(parsed: Parsed, running: Running): CommandContext {
  let progress: Progress | undefined;
  const output = makeOutput(parsed.json, (text) => {
    running.renderer?.clear();
    writeAll(STDOUT, text);
  });
  return {
    // The parser has checked every value against the spec that these types come from.
    arguments: parsed.arguments as CommandContext["arguments"],
    options: parsed.options as CommandContext["options"],
    all: parsed.all,
    rest: parsed.rest,
    written: (option) => parsed.written.get(option),
    json: parsed.json,
    quiet: parsed.quiet,
    out: output,
    get progress() {
      progress ??= startProgress(parsed, running);
      return progress;
    },
  };
}

/** Without the watch for Ctrl-C that goes with progress: the command may have nothing to undo. */
function warnBy(parsed: Parsed, running: Running, text: string): void {
  const { emit } =
    running.renderer ?? progressRenderer(progressMode(parsed), (line) => writeAll(STDERR, line));
  emit({ type: "warning", text });
}

function startProgress(parsed: Parsed, running: Running): Progress {
  const renderer = progressRenderer(progressMode(parsed), (text) => writeAll(STDERR, text));
  const interrupt = catchInterrupt((name) =>
    renderer.emit({
      type: "warning",
      text: `${name}: what was begun will be undone, or done if that is no longer possible; once more ends it at once`,
    }),
  );
  running.renderer = renderer;
  running.interrupt = interrupt;
  return { emit: renderer.emit, signal: interrupt.signal };
}

function progressMode(parsed: Parsed): ProgressMode {
  if (parsed.quiet) return { type: "quiet" };
  if (parsed.json) return { type: "json" };
  const columns = windowSize(STDERR)?.columns;
  return columns === undefined ? { type: "plain" } : { type: "terminal", columns: columns || 80 };
}
