/**
 * The words after the command's name to values. Options and arguments mix in any order; `--` ends the options;
 * behind the arguments of a command with a passthrough everything belongs to the passed-through program.
 */
import { closest } from "../../base/closest.ts";
import { BerthError } from "../../base/errors.ts";
import { type ArgumentSpec, type Command, type OptionSpec, optionsOf } from "./command.ts";
import { type ParsedValue, parseValue } from "./values.ts";

export type Parsed = {
  readonly options: Readonly<Record<string, ParsedValue | readonly ParsedValue[] | undefined>>;
  readonly arguments: Readonly<Record<string, ParsedValue | readonly ParsedValue[] | undefined>>;
  /** Option values as they were written; of a repeated one the last. */
  readonly written: ReadonlyMap<string, string>;
  readonly rest: readonly string[];
  readonly all: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
};

type Given = { readonly option: OptionSpec; readonly text: string };
type Words = { readonly given: Given[]; readonly operands: string[]; rest: readonly string[] };

/** Whether the words ask for help, wherever among the options that stands; looked at before anything can be wrong. */
export function asksForHelp(command: Command, words: readonly string[]): boolean {
  const own = ownWords(command, words);
  return own.includes("--help") || own.includes("-h");
}

/** Whether the words ask for JSON: a usage error has to know before they are parsed. */
export function asksForJson(command: Command, words: readonly string[]): boolean {
  return ownWords(command, words).includes("--json");
}

/** The words up to `--` or up to those of a passthrough. */
function ownWords(command: Command, words: readonly string[]): readonly string[] {
  const end = words.indexOf("--");
  const own = end < 0 ? words : words.slice(0, end);
  if (command.passthrough === undefined) return own;
  const options = optionsOf(command);
  let operands = 0;
  for (let at = 0; at < own.length; at++) {
    const word = own[at] ?? "";
    if (!isOption(word)) {
      operands += 1;
      if (operands >= command.arguments.length) return own.slice(0, at + 1);
    } else if (takesNextWord(options, word)) at += 1;
  }
  return own;
}

const isOption = (word: string): boolean => word.length > 1 && word.startsWith("-");

function takesNextWord(options: readonly OptionSpec[], word: string): boolean {
  const option = options.find(({ name, short }) => word === `--${name}` || word === `-${short}`);
  return option !== undefined && option.kind !== "flag";
}

/** Parses and checks; throws a usage error that names the word and what to do. */
export function parse(command: Command, words: readonly string[]): Parsed {
  const split = splitWords(command, words);
  const options: Record<string, ParsedValue | ParsedValue[] | undefined> = {};
  const written = new Map<string, string>();
  for (const option of optionsOf(command)) {
    if (option.kind === "flag") options[option.name] = false;
    else if (option.repeatable) options[option.name] = [];
  }
  for (const { option, text } of split.given) {
    if (option.kind === "flag") {
      options[option.name] = true;
      continue;
    }
    const value = parseValue(`--${option.name}`, option, text);
    const list = options[option.name];
    if (option.repeatable && Array.isArray(list)) options[option.name] = [...list, value];
    else options[option.name] = value;
    written.set(option.name, text);
  }
  const all = options.all === true && command.arguments.some((argument) => argument.orAll);
  return {
    options,
    arguments: takeOperands(command, split.operands, all),
    written,
    rest: checkRest(command, split.rest),
    all,
    json: options.json === true,
    quiet: options.quiet === true,
  };
}

function splitWords(command: Command, words: readonly string[]): Words {
  const options = optionsOf(command);
  const result: Words = { given: [], operands: [], rest: [] };
  for (let at = 0; at < words.length; at++) {
    if (command.passthrough !== undefined && result.operands.length >= command.arguments.length) {
      result.rest = words.slice(words[at] === "--" ? at + 1 : at);
      return result;
    }
    const word = words[at] ?? "";
    if (word === "--") {
      const operands = words.slice(at + 1);
      if (command.passthrough === undefined) result.operands.push(...operands);
      else {
        const missing = command.arguments.length - result.operands.length;
        result.operands.push(...operands.slice(0, missing));
        const rest = operands.slice(missing);
        result.rest = rest[0] === "--" ? rest.slice(1) : rest;
      }
      return result;
    }
    if (!isOption(word)) result.operands.push(word);
    else if (word.startsWith("--")) at += takeLong(command, options, words, at, result.given);
    else at += takeShort(command, options, words, at, result.given);
  }
  return result;
}

/** `--name`, `--name VALUE` or `--name=VALUE`. Returns how many further words it took. */
function takeLong(
  command: Command,
  options: readonly OptionSpec[],
  words: readonly string[],
  at: number,
  given: Given[],
): number {
  const word = words[at] ?? "";
  const equals = word.indexOf("=");
  const name = word.slice(2, equals < 0 ? undefined : equals);
  const option = options.find((candidate) => candidate.name === name);
  if (option === undefined) throw unknownOption(command, `--${name}`, options);
  if (option.kind === "flag") {
    if (equals >= 0) throw usage(command, `--${name} takes no value`);
    given.push({ option, text: "" });
    return 0;
  }
  if (equals >= 0) {
    given.push({ option, text: word.slice(equals + 1) });
    return 0;
  }
  given.push({ option, text: nextWord(command, `--${name}`, words, at) });
  return 1;
}

/** `-q`, several flags in one word, `-m VALUE` or `-mVALUE`. Returns how many further words it took. */
function takeShort(
  command: Command,
  options: readonly OptionSpec[],
  words: readonly string[],
  at: number,
  given: Given[],
): number {
  const letters = (words[at] ?? "").slice(1);
  for (let i = 0; i < letters.length; i++) {
    const letter = letters[i] ?? "";
    const option = options.find(({ short }) => short === letter);
    if (option === undefined) throw unknownOption(command, `-${letter}`, options);
    if (option.kind === "flag") {
      given.push({ option, text: "" });
      continue;
    }
    const joined = letters.slice(i + 1);
    given.push({ option, text: joined === "" ? nextWord(command, `-${letter}`, words, at) : joined });
    return joined === "" ? 1 : 0;
  }
  return 0;
}

function nextWord(command: Command, label: string, words: readonly string[], at: number): string {
  const next = words[at + 1];
  if (next === undefined) throw usage(command, `${label} needs a value`);
  if (isOption(next))
    throw new BerthError(
      "usage.bad-argument",
      `${label} needs a value, and "${next}" looks like another option`,
      label.startsWith("--")
        ? `to give exactly that value, write ${label}=${next}`
        : `see "berth ${command.name} --help"`,
    );
  return next;
}

function takeOperands(command: Command, operands: readonly string[], all: boolean): Parsed["arguments"] {
  const values: Record<string, ParsedValue | ParsedValue[] | undefined> = {};
  let at = 0;
  for (const argument of command.arguments) {
    const label = argument.name.toUpperCase();
    if (argument.variadic) {
      const words = operands.slice(at);
      checkVariadic(command, argument, words, all);
      values[argument.name] = [...new Set(words)].map((word) => parseValue(label, argument, word));
      return values;
    }
    const word = operands[at];
    if (word === undefined) {
      if (!argument.optional) throw usage(command, `${label} is missing`);
      values[argument.name] = undefined;
      continue;
    }
    values[argument.name] = parseValue(label, argument, word);
    at += 1;
  }
  const extra = operands[at];
  if (extra !== undefined) throw usage(command, `"${extra}" is one word too many`);
  return values;
}

function checkVariadic(
  command: Command,
  argument: ArgumentSpec,
  words: readonly string[],
  all: boolean,
): void {
  const label = argument.name.toUpperCase();
  if (all && words.length > 0) throw usage(command, `--all and "${words[0]}" exclude each other`);
  if (words.length === 0 && !all && !argument.optional)
    throw argument.orAll
      ? new BerthError("usage.bad-argument", `${label} is missing`, "name one or more, or say --all")
      : usage(command, `${label} is missing`);
}

function checkRest(command: Command, rest: readonly string[]): readonly string[] {
  if (command.passthrough !== undefined && rest.length === 0 && !command.passthrough.optional)
    throw usage(command, `${command.passthrough.name.toUpperCase()} is missing`);
  return rest;
}

function unknownOption(command: Command, word: string, options: readonly OptionSpec[]): BerthError {
  const near = closest(
    word.replace(/^--?/, ""),
    options.map(({ name }) => name),
  );
  return new BerthError(
    "usage.bad-argument",
    `"berth ${command.name}" has no option ${word}`,
    near === undefined ? `see "berth ${command.name} --help" for those it has` : `did you mean --${near}?`,
  );
}

function usage(command: Command, message: string): BerthError {
  return new BerthError("usage.bad-argument", message, `see "berth ${command.name} --help"`);
}
