/** docs/reference/cli.md from the commands' data. */
import {
  type ArgumentSpec,
  type Command,
  commonOptions,
  type OptionSpec,
  optionsOf,
  synopsisOf,
} from "./command.ts";
import { meaningOf, optionTerm } from "./help.ts";
import type { LoadedSection } from "./resolve.ts";
import { paragraphs } from "./text.ts";

/** The whole reference as Markdown. */
export function cliReference(sections: readonly LoadedSection[]): string {
  const blocks = sections
    .filter(({ commands }) => commands.length > 0)
    .flatMap(({ title, commands }) => [`## ${capital(title)}`, ...commands.map(commandBlock)]);
  return `${[
    "# Commands",
    "This page is made from the commands' data by `npm run docs`; change the data, not the page.",
    "Every command also takes:",
    optionTable(commonOptions),
    ...blocks,
  ].join("\n\n")}\n`;
}

function commandBlock(command: Command): string {
  const own = optionsOf(command).filter(({ name }) => !commonOptions.some((common) => common.name === name));
  const operands: [string, string][] = command.arguments.map((argument: ArgumentSpec) => [
    argument.name.toUpperCase(),
    meaningOf(argument),
  ]);
  if (command.passthrough !== undefined)
    operands.push([command.passthrough.name.toUpperCase(), command.passthrough.summary]);
  const blocks = [
    `### berth ${command.name}`,
    `${command.summary}.`,
    `    berth ${command.name} ${synopsisOf(command)}`,
    ...paragraphs(command.description ?? "").map(cell),
  ];
  if (operands.length > 0) blocks.push(twoColumns("Argument", operands));
  if (own.length > 0) blocks.push(optionTable(own));
  const examples = command.examples.map(({ command: line, what }) => `${what}:\n\n    ${line}`);
  const seeAlso = (command.seeAlso ?? []).map(
    (name) => `[berth ${name}](#berth-${name.replaceAll(" ", "-")})`,
  );
  if (seeAlso.length > 0) examples.push(`See also ${seeAlso.join(", ")}.`);
  return [...blocks, ...examples].join("\n\n");
}

function optionTable(options: readonly OptionSpec[]): string {
  return twoColumns(
    "Option",
    options.map((option): [string, string] => [optionTerm(option), meaningOf(option)]),
  );
}

function twoColumns(title: string, rows: readonly (readonly [string, string])[]): string {
  const lines = rows.map(([term, meaning]) => `| \`${term.replaceAll("|", "\\|")}\` | ${cell(meaning)} |`);
  return [`| ${title} | |`, "| --- | --- |", ...lines].join("\n");
}

/** Text that Markdown must not read as markup. */
function cell(text: string): string {
  return text.replace(/[|<>*_\\]/g, (character) => `\\${character}`);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
