/**
 * What can stand where the cursor is. The shells' scripts are thin: they hand their words to `berth __complete`,
 * so that one tested function answers for all of them and never goes stale.
 */
import { type ArgumentSpec, type Command, type CommandTable, type OptionSpec, optionsOf } from "./command.ts";
import { entriesOf, loadAll, resolve } from "./resolve.ts";

export type Candidate = { readonly value: string; readonly what: string };

export type Completion = {
  readonly candidates: readonly Candidate[];
  /** The shell adds files of its own. */
  readonly files: boolean;
};

/** Names that only the host knows. */
export type Names = {
  readonly container: () => readonly string[];
  readonly template: () => readonly string[];
  readonly volume: () => readonly string[];
  readonly setting: () => readonly string[];
  readonly snapshot: (container: string) => readonly string[];
  readonly "mount-target": (container: string) => readonly string[];
};

const nothing: Completion = { candidates: [], files: false };
const anyFile: Completion = { candidates: [], files: true };

/** Completes the last of `words` (what stands behind "berth", the last maybe empty and unfinished). Throws nothing. */
export async function complete(
  table: CommandTable,
  words: readonly string[],
  names: Names,
): Promise<Completion> {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const commandWords = before.filter((word, i) => !(word.startsWith("-") && i === 0));
  if (commandWords.length === 0) return commandNames(table, current);
  const group = entriesOf(table).get(commandWords[0] ?? "");
  if (group !== undefined && typeof group !== "function" && commandWords.length === 1) {
    const loaded = await Promise.all(
      Object.entries(group.commands).map(async ([name, load]) => ({
        value: name,
        what: (await load()).command.summary,
      })),
    );
    return starting(loaded, current);
  }
  try {
    const { command, words: own } = await resolve(table, commandWords);
    return completeWord(command, own, current, names);
  } catch {
    return nothing;
  }
}

async function commandNames(table: CommandTable, current: string): Promise<Completion> {
  const sections = await loadAll(table);
  const summaries = new Map(
    sections.flatMap(({ commands }) => commands.map(({ name, summary }) => [name, summary])),
  );
  const entries = [...entriesOf(table)].filter(([name]) => !name.startsWith("_"));
  return starting(
    entries.map(([name, entry]) => ({
      value: name,
      what: typeof entry === "function" ? (summaries.get(name) ?? "") : entry.summary,
    })),
    current,
  );
}

function completeWord(
  command: Command,
  before: readonly string[],
  current: string,
  names: Names,
): Completion {
  const options = optionsOf(command);
  const operands: string[] = [];
  for (let at = 0; at < before.length; at++) {
    const word = before[at] ?? "";
    if (command.passthrough !== undefined && operands.length >= command.arguments.length) return anyFile;
    if (word === "--") {
      operands.push(...before.slice(at + 1));
      if (command.passthrough !== undefined && operands.length >= command.arguments.length) return anyFile;
      return operandValues(command, operands, current, names);
    }
    const option = optionOf(options, word);
    if (option !== undefined && option.kind !== "flag") {
      if (at === before.length - 1) return valuesOf(option, current, operands[0], names);
      at += 1;
    } else if (!word.startsWith("-")) operands.push(word);
  }
  if (command.passthrough !== undefined && operands.length >= command.arguments.length) return anyFile;
  const equals = current.startsWith("--") ? current.indexOf("=") : -1;
  if (equals > 0) {
    const option = optionOf(options, current.slice(0, equals));
    if (option === undefined || option.kind === "flag") return nothing;
    const { candidates, files } = valuesOf(option, current.slice(equals + 1), operands[0], names);
    const prefix = current.slice(0, equals + 1);
    return { candidates: candidates.map(({ value, what }) => ({ value: prefix + value, what })), files };
  }
  if (current.startsWith("-")) return optionNames(options, before, current);
  return operandValues(command, operands, current, names);
}

function optionOf(options: readonly OptionSpec[], word: string): OptionSpec | undefined {
  return options.find(({ name, short }) => word === `--${name}` || word === `-${short}`);
}

function optionNames(options: readonly OptionSpec[], before: readonly string[], current: string): Completion {
  const open = options.filter(
    (option) =>
      (option.kind !== "flag" && option.repeatable) ||
      !before.some((word) => word === `--${option.name}` || word.startsWith(`--${option.name}=`)),
  );
  return starting(
    open.map(({ name, summary }) => ({ value: `--${name}`, what: summary })),
    current,
  );
}

function operandValues(
  command: Command,
  operands: readonly string[],
  current: string,
  names: Names,
): Completion {
  const argument =
    command.arguments[operands.length] ?? command.arguments.find((candidate) => candidate.variadic);
  if (argument === undefined) return nothing;
  const { candidates, files } = valuesOf(argument, current, operands[0], names);
  const taken = argument.variadic ? new Set(operands) : new Set<string>();
  return { candidates: candidates.filter(({ value }) => !taken.has(value)), files };
}

function valuesOf(
  spec: Exclude<OptionSpec, { kind: "flag" }> | ArgumentSpec,
  current: string,
  container: string | undefined,
  names: Names,
): Completion {
  if (spec.kind === "path") return anyFile;
  if (spec.kind === "place") return places(current, names);
  const values = [...knownValues(spec.kind, spec.choices ?? [], container, names), ...(spec.words ?? [])];
  return starting(
    values.map((value) => ({ value, what: "" })),
    current,
  );
}

/** Files of the host, and containers, behind whose colon only a guest knows what there is. */
function places(current: string, names: Names): Completion {
  const { candidates } = starting(
    names.container().map((name) => ({ value: `${name}:/`, what: "container" })),
    current,
  );
  return { candidates, files: !current.includes(":") };
}

function knownValues(
  kind: ArgumentSpec["kind"],
  choices: readonly string[],
  container: string | undefined,
  names: Names,
): readonly string[] {
  switch (kind) {
    case "container":
      return names.container();
    case "template":
      return names.template();
    case "volume":
    case "setting":
      return names[kind]();
    case "snapshot":
    case "mount-target":
      return container === undefined ? [] : names[kind](container);
    case "boolean":
      return ["yes", "no"];
    default:
      return choices;
  }
}

function starting(candidates: readonly Candidate[], current: string): Completion {
  return { candidates: candidates.filter(({ value }) => value.startsWith(current)), files: false };
}
