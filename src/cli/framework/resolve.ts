/** From words to a command of the table; only that command's module is loaded. */
import { closest } from "../../base/closest.ts";
import { BerthError } from "../../base/errors.ts";
import type { Command, CommandTable, Group, Loader } from "./command.ts";

export type Resolved = {
  readonly command: Command;
  /** The words behind its name. */
  readonly words: readonly string[];
};

/** Names and entries of the first level, hidden ones included. */
export function entriesOf(table: CommandTable): ReadonlyMap<string, Loader | Group> {
  return new Map(table.flatMap((section) => Object.entries(section.commands)));
}

/** The command that the words begin with; a usage error with the nearest name when there is none. */
export async function resolve(table: CommandTable, words: readonly string[]): Promise<Resolved> {
  const [first = "", second] = words;
  const entries = entriesOf(table);
  const entry = entries.get(first);
  if (entry === undefined) throw unknownCommand("", first, entries.keys());
  if (typeof entry === "function") return { command: (await entry()).command, words: words.slice(1) };
  const names = Object.keys(entry.commands);
  if (second === undefined || second.startsWith("-"))
    throw new BerthError(
      "usage.unknown-command",
      `"berth ${first}" needs to know what to do`,
      `say one of: ${names.join(", ")}`,
    );
  const load = Object.hasOwn(entry.commands, second) ? entry.commands[second] : undefined;
  if (load === undefined) throw unknownCommand(`${first} `, second, names);
  return { command: (await load()).command, words: words.slice(2) };
}

function unknownCommand(prefix: string, word: string, names: Iterable<string>): BerthError {
  const shown = [...names].filter((name) => !name.startsWith("_"));
  const near = closest(word, shown);
  return new BerthError(
    "usage.unknown-command",
    `there is no command "${prefix}${word}"`,
    near !== undefined
      ? `did you mean "berth ${prefix}${near}"?`
      : prefix === ""
        ? (otherWords.get(word) ?? 'see "berth --help" for those there are')
        : `say one of: ${shown.join(", ")}`,
  );
}

/** What other programs call it. */
const otherWords: ReadonlyMap<string, string> = new Map([
  ["version", "berth --version shows it"],
  ["destroy", 'that is "berth rm"'],
  ["delete", 'that is "berth rm"'],
  ["shell", 'that is "berth enter"'],
  ["attach", 'that is "berth console", or "berth enter" for a shell'],
  ["pause", 'that is "berth freeze"'],
  ["unpause", 'that is "berth thaw"'],
  ["launch", 'that is "berth create --start"'],
  ["run", 'that is "berth create --start", or "berth exec" in a container that runs'],
]);

/** The group that the words name without saying which of its commands. */
export function groupOf(table: CommandTable, words: readonly string[]): Group | undefined {
  const [name = "", second] = words;
  const entry = entriesOf(table).get(name);
  if (entry === undefined || typeof entry === "function") return undefined;
  return second === undefined || second === "--help" || second === "-h" ? entry : undefined;
}

/** The commands of a group. */
export async function loadGroup(group: Group): Promise<readonly Command[]> {
  return Promise.all(Object.values(group.commands).map(async (load) => (await load()).command));
}

export type LoadedSection = { readonly title: string; readonly commands: readonly Command[] };

/** Every command that is not hidden, for help and generated documents. */
export async function loadAll(table: CommandTable): Promise<readonly LoadedSection[]> {
  return Promise.all(
    table.map(async (section) => {
      const loaders = Object.values(section.commands).flatMap((entry) =>
        typeof entry === "function" ? [entry] : Object.values(entry.commands),
      );
      const commands = await Promise.all(loaders.map(async (load) => (await load()).command));
      return { title: section.title, commands: commands.filter((command) => !command.hidden) };
    }),
  );
}
