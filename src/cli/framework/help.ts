/** `berth --help` and `berth COMMAND --help`, from the commands' data. */
import {
  type ArgumentSpec,
  type Command,
  commonOptions,
  type OptionSpec,
  optionsOf,
  placeholderOf,
  synopsisOf,
} from "./command.ts";
import type { LoadedSection } from "./resolve.ts";
import { definitions, fill, paragraphs } from "./text.ts";

const WIDTH = 96;

/** All commands by section. */
export function overview(sections: readonly LoadedSection[]): string {
  const shown = sections.filter(({ commands }) => commands.length > 0);
  const longest = Math.max(0, ...shown.flatMap(({ commands }) => commands.map(({ name }) => name.length)));
  const blocks = shown.map(({ title, commands }) => {
    const rows = commands.map(({ name, summary }) => [name, summary] as const);
    return `${title}:\n${definitions(rows, WIDTH, longest)}`;
  });
  return [
    "berth: system containers for Debian and Ubuntu\n\nUsage: berth COMMAND [OPTIONS] [ARGUMENTS]",
    ...blocks,
    'Every command takes --help, --json and --quiet. "berth help COMMAND" shows its manual page.\n',
  ].join("\n\n");
}

/** The commands under one word. */
export function groupHelp(name: string, summary: string, commands: readonly Command[]): string {
  const rows = commands.map((command) => [command.name, command.summary] as const);
  return [
    `berth ${name}: ${summary}`,
    `Usage: berth ${name} COMMAND [OPTIONS] [ARGUMENTS]`,
    `Commands:\n${definitions(rows, WIDTH)}\n`,
  ].join("\n\n");
}

/** What one command does, takes and gives. */
export function commandHelp(command: Command): string {
  const own = optionsOf(command).filter((option) => !isCommon(option));
  const operands: [string, string][] = command.arguments.map((argument) => [
    argument.name.toUpperCase(),
    meaningOf(argument),
  ]);
  const rest = command.passthrough;
  if (rest !== undefined) operands.push([rest.name.toUpperCase(), rest.summary]);
  const blocks = [
    `berth ${command.name}: ${command.summary}`,
    `Usage: berth ${command.name} ${synopsisOf(command)}`,
    ...paragraphs(command.description ?? "").map((paragraph) => fill(paragraph, WIDTH)),
  ];
  if (operands.length > 0) blocks.push(`Arguments:\n${definitions(operands, WIDTH)}`);
  if (own.length > 0) blocks.push(`Options:\n${optionRows(own)}`);
  blocks.push(`Common options:\n${optionRows(commonOptions)}`);
  if (command.examples.length > 0) {
    const examples = command.examples.map(({ command: line, what }) => `  ${line}\n      ${what}`);
    blocks.push(`Examples:\n${examples.join("\n")}`);
  }
  if (command.seeAlso !== undefined && command.seeAlso.length > 0)
    blocks.push(`See also: ${command.seeAlso.map((name) => `berth ${name}`).join(", ")}`);
  return `${blocks.join("\n\n")}\n`;
}

function isCommon(option: OptionSpec): boolean {
  return commonOptions.some(({ name }) => name === option.name);
}

function optionRows(options: readonly OptionSpec[]): string {
  return definitions(
    options.map((option) => [optionTerm(option), meaningOf(option)]),
    WIDTH,
  );
}

/** "-m, --memory SIZE". */
export function optionTerm(option: OptionSpec): string {
  const short = option.short === undefined ? "" : `-${option.short}, `;
  const placeholder = placeholderOf(option);
  return `${short}--${option.name}${placeholder === undefined ? "" : ` ${placeholder}`}`;
}

/** The summary with what else there is to say of the value. */
export function meaningOf(spec: OptionSpec | ArgumentSpec): string {
  if (spec.kind === "flag") return spec.summary;
  const notes: string[] = [];
  if (spec.words !== undefined && spec.words.length > 0) notes.push(`or ${spec.words.join(", ")}`);
  if ("choices" in spec && spec.choices !== undefined && "value" in spec && spec.value !== undefined)
    notes.push(`one of ${spec.choices.join(", ")}`);
  if ("default" in spec && spec.default !== undefined) notes.push(`default ${spec.default}`);
  if ("repeatable" in spec && spec.repeatable) notes.push("may be repeated");
  return notes.length === 0 ? spec.summary : `${spec.summary} (${notes.join("; ")})`;
}
