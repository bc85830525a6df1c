/**
 * A command is data: its arguments, options and examples are read by the parser, `--help`, the man pages, the
 * completion and docs/reference/cli.md alike, so that none of them can drift from the others.
 */
import type { Progress } from "../../base/progress.ts";
import type { Output } from "./output.ts";

/** What a value means: decides its check, its type in `run`, and what completion offers for it. */
export type ValueKind =
  /** Any text. */
  | "string"
  /** "512M": bytes. */
  | "size"
  /** "500", "10k": a whole number. */
  | "count"
  /** "1.5": a number that is not negative. */
  | "number"
  /** "30s": seconds. */
  | "duration"
  /** A file or directory of the host. */
  | "path"
  /** The same, or "NAME:/path" in a container. */
  | "place"
  /** One of `choices`. */
  | "choice"
  /** "yes"/"no", "true"/"false", "on"/"off". */
  | "boolean"
  /** "KEY=VALUE". */
  | "pair"
  /** The name of a container that exists. */
  | "container"
  /** The name of a template. */
  | "template"
  /** The name of a volume. */
  | "volume"
  /** The name of a snapshot of the container that the command is about, its first argument. */
  | "snapshot"
  /** Where that container mounts something. */
  | "mount-target"
  /** The key of a setting. */
  | "setting";

type Value = {
  readonly kind: ValueKind;
  /** For `choice`. */
  readonly choices?: readonly string[];
  /** Words that are accepted besides the kind's own form and passed on as they are: `unlimited`, `max`. */
  readonly words?: readonly string[];
  /** A limit that may have a soft one before it, "SOFT:HARD", which is then passed on as it is. */
  readonly soft?: boolean;
};

export type OptionSpec = {
  /** Without the dashes: "memory". */
  readonly name: string;
  /** One letter, without the dash. */
  readonly short?: string;
  readonly summary: string;
} & (
  | { readonly kind: "flag" }
  | (Value & {
      /** Placeholder in help: "SIZE". Derived from the kind when left out. */
      readonly value?: string;
      /** May be given several times; its value is then a list. */
      readonly repeatable?: boolean;
      /** Said in help only; `run` sees undefined when the option is not given. */
      readonly default?: string;
    })
);

export type ArgumentSpec = Value & {
  /** Lower case; help shows it in capitals. */
  readonly name: string;
  readonly summary: string;
  readonly optional?: boolean;
  /** Takes all words that are left; its value is a list. Last only. */
  readonly variadic?: boolean;
  /** With `variadic`: the command takes `--all` instead of names; `context.all` says so. */
  readonly orAll?: boolean;
};

export type Example = { readonly command: string; readonly what: string };

type Simple<S extends Value> =
  | (S["kind"] extends "size" | "count" | "number" | "duration"
      ? number
      : S["kind"] extends "boolean"
        ? boolean
        : S["kind"] extends "pair"
          ? readonly [key: string, value: string]
          : S extends { readonly choices: readonly (infer C)[] }
            ? C
            : string)
  | (S extends { readonly words: readonly (infer W)[] } ? W : never);

type OptionValue<S extends OptionSpec> = S extends Value
  ? S extends { readonly repeatable: true }
    ? readonly Simple<S>[]
    : Simple<S> | undefined
  : boolean;

type ArgumentValue<S extends ArgumentSpec> = S extends { readonly variadic: true }
  ? readonly Simple<S>[]
  : S extends { readonly optional: true }
    ? Simple<S> | undefined
    : Simple<S>;

/** `options.memory`, `options["cpu-weight"]`: the type follows from the spec; sizes are bytes, durations seconds. */
export type OptionValues<O extends readonly OptionSpec[]> = {
  readonly [S in O[number] as S["name"]]: OptionValue<S>;
};

export type ArgumentValues<A extends readonly ArgumentSpec[]> = {
  readonly [S in A[number] as S["name"]]: ArgumentValue<S>;
};

export type CommandContext<
  A extends readonly ArgumentSpec[] = readonly ArgumentSpec[],
  O extends readonly OptionSpec[] = readonly OptionSpec[],
> = {
  readonly arguments: ArgumentValues<A>;
  readonly options: OptionValues<O>;
  /** `--all` was given in place of names. */
  readonly all: boolean;
  /** The words of the passthrough, `--` removed. Empty without one. */
  readonly rest: readonly string[];
  /** An option's value as the user wrote it ("1.5G"), for configs that keep the user's spelling. */
  readonly written: (option: string) => string | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly out: Output;
  /**
   * Renders on stderr (bar, plain lines or JSON lines). Taking it installs the Ctrl-C handler: the first Ctrl-C
   * aborts `progress.signal`, the operation undoes itself, berth exits with 130; with 0 when it was done all the same.
   */
  readonly progress: Progress;
};

export type Command<
  A extends readonly ArgumentSpec[] = readonly ArgumentSpec[],
  O extends readonly OptionSpec[] = readonly OptionSpec[],
> = {
  /** Its words after "berth": "create", "template build". */
  readonly name: string;
  /** One line, no full stop. */
  readonly summary: string;
  /** Paragraphs, separated by empty lines. */
  readonly description?: string;
  readonly arguments: A;
  readonly options: O;
  /** Everything after the arguments belongs to somebody else: `berth exec NAME COMMAND...`. */
  readonly passthrough?: { readonly name: string; readonly summary: string; readonly optional?: boolean };
  /** The exit code is the guest program's; failures of berth itself exit with 125. */
  readonly passesExitCode?: boolean;
  /** Left out of help, completion and manual. */
  readonly hidden?: boolean;
  readonly examples: readonly Example[];
  /** Other commands by name. */
  readonly seeAlso?: readonly string[];
  /** Exit code, 0 when nothing is returned; failures are thrown BerthErrors. */
  // A method and not a property: commands of any arguments and options fit one table.
  run(context: CommandContext<A, O>): Promise<number | undefined> | Promise<void>;
};

/** Checks a command's data and infers the types that `run` sees. */
export function defineCommand<const A extends readonly ArgumentSpec[], const O extends readonly OptionSpec[]>(
  command: Command<A, O>,
): Command<A, O> {
  return command;
}

/** A command's module, loaded only when it is needed; it exports `command`. */
export type Loader = () => Promise<{ readonly command: Command }>;

/** Commands under one word: "template build", "template ls". */
export type Group = {
  readonly summary: string;
  readonly commands: Readonly<Record<string, Loader>>;
};

export type Section = {
  readonly title: string;
  readonly commands: Readonly<Record<string, Loader | Group>>;
};

/** Everything berth can be told, in the order in which help shows it. */
export type CommandTable = readonly Section[];

/** Options every command has. */
export const commonOptions = [
  { name: "json", kind: "flag", summary: "Print the result as JSON, and progress and errors as JSON lines" },
  { name: "quiet", short: "q", kind: "flag", summary: "Print neither progress nor notes" },
  { name: "help", short: "h", kind: "flag", summary: "Show what the command does and takes" },
] as const satisfies readonly OptionSpec[];

/** Added to commands whose variadic argument says `orAll`. */
export const allOption = {
  name: "all",
  kind: "flag",
  summary: "Do it to all of them instead of naming some",
} as const satisfies OptionSpec;

/** A command's own options, `--all` where it applies, then the common ones. */
export function optionsOf(command: Command): readonly OptionSpec[] {
  const all = command.arguments.some((argument) => argument.orAll) ? [allOption] : [];
  return [...command.options, ...all, ...commonOptions];
}

const placeholders: Record<ValueKind, string> = {
  string: "TEXT",
  size: "SIZE",
  count: "N",
  number: "NUMBER",
  duration: "TIME",
  path: "PATH",
  place: "PATH",
  choice: "WORD",
  boolean: "yes|no",
  pair: "KEY=VALUE",
  container: "NAME",
  template: "TEMPLATE",
  volume: "VOLUME",
  snapshot: "SNAPSHOT",
  "mount-target": "TARGET",
  setting: "KEY",
};

/** "SIZE" for `--memory SIZE`; undefined for a flag. */
export function placeholderOf(option: OptionSpec): string | undefined {
  if (option.kind === "flag") return undefined;
  if (option.value !== undefined) return option.value;
  return option.choices === undefined ? placeholders[option.kind] : option.choices.join("|");
}

/** "[OPTIONS] NAME... [-- COMMAND...]": what follows the command's name. */
export function synopsisOf(command: Command): string {
  const words = command.arguments.map((argument) => {
    const word = `${argument.name.toUpperCase()}${argument.variadic ? "..." : ""}`;
    if (argument.orAll) return `${word}|--all`;
    return argument.optional ? `[${word}]` : word;
  });
  const rest = command.passthrough;
  if (rest !== undefined) {
    const word = `${rest.name.toUpperCase()}...`;
    words.push(rest.optional ? `[${word}]` : word);
  }
  return ["[OPTIONS]", ...words].join(" ");
}
