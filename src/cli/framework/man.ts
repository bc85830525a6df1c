/** Manual pages, berth(1) and berth-COMMAND(1), in man(7) roff from the commands' data. */
import { exitCodes } from "../../base/errors.ts";
import { type Command, commonOptions, type Example, optionsOf, synopsisOf } from "./command.ts";
import { meaningOf, optionTerm } from "./help.ts";
import type { LoadedSection } from "./resolve.ts";
import { paragraphs } from "./text.ts";

/** Text as roff shows it unchanged: backslashes, hyphens that must stay ASCII, and lines that would be requests. */
export function roff(text: string): string {
  return text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/^([.'])/gm, "\\&$1")
    .replace(/[\u0080-\u{10ffff}]/gu, (character) => `\\[u${hex(character)}]`);
}

function hex(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
}

const exitMeanings: Record<keyof typeof exitCodes, string> = {
  ok: "It is done.",
  failed: "It failed; the message says where.",
  usage: "The command line is wrong.",
  notFound: "There is no such container, template or snapshot.",
  exists: "The name or address is taken.",
  wrongState: "The container's state does not allow it: stopped where it must run, or the reverse.",
  badConfig: "A configuration file is wrong; the message names file, line and key.",
  hostLacks: "The host lacks a program or a feature of the kernel; the message names it.",
  notRoot: "It needs root.",
  noSpace: "A disk or quota is full.",
  busy: "Somebody else is at work on it.",
};

const OWN_FAILURE =
  "When berth itself fails it exits with 125; else the code is that of the program in the container.";

/** Name of a command's page: "berth-template-build". */
export function pageName(command: Command): string {
  return `berth-${command.name.replaceAll(" ", "-")}`;
}

/** berth-COMMAND(1). */
export function commandPage(command: Command, version: string): string {
  const own = optionsOf(command).filter(({ name }) => !commonOptions.some((common) => common.name === name));
  const operands: [string, string][] = command.arguments.map((argument) => [
    argument.name.toUpperCase(),
    meaningOf(argument),
  ]);
  if (command.passthrough !== undefined)
    operands.push([command.passthrough.name.toUpperCase(), command.passthrough.summary]);
  const options = [...own, ...commonOptions].map((option): [string, string] => [
    optionTerm(option),
    meaningOf(option),
  ]);
  return page(pageName(command), version, [
    section("NAME", `${roff(pageName(command))} \\- ${roff(command.summary)}`),
    section("SYNOPSIS", `\\fBberth ${roff(command.name)}\\fR ${roff(synopsisOf(command))}`),
    section(
      "DESCRIPTION",
      paragraphs(command.description ?? `${command.summary}.`)
        .map(roff)
        .join("\n.PP\n"),
    ),
    operands.length === 0 ? "" : section("ARGUMENTS", terms(operands)),
    section("OPTIONS", terms(options)),
    section("EXIT STATUS", command.passesExitCode ? roff(OWN_FAILURE) : "See \\fBberth\\fR(1)."),
    examples(command.examples),
    section("SEE ALSO", seeAlso(["", ...(command.seeAlso ?? [])])),
  ]);
}

/** berth(1). */
export function mainPage(sections: readonly LoadedSection[], version: string): string {
  const commands = sections
    .filter(({ commands: own }) => own.length > 0)
    .map(
      ({ title, commands: own }) =>
        `.SS ${roff(title)}\n${terms(own.map(({ name, summary }) => [`berth ${name}`, summary]))}`,
    );
  const exits = Object.entries(exitCodes).map(([kind, code]): [string, string] => [
    String(code),
    exitMeanings[kind as keyof typeof exitCodes],
  ]);
  return page("berth", version, [
    section("NAME", "berth \\- system containers for Debian and Ubuntu"),
    section("SYNOPSIS", "\\fBberth\\fR COMMAND [OPTIONS] [ARGUMENTS]"),
    section(
      "DESCRIPTION",
      roff(
        "berth runs guests with a real init, their own addresses, users and limits on the host's kernel. " +
          "Each command has a page of its own, berth-COMMAND(1).",
      ),
    ),
    section("COMMANDS", commands.join("\n")),
    section(
      "OPTIONS",
      terms([
        ...commonOptions.map((option): [string, string] => [optionTerm(option), meaningOf(option)]),
        ["--version", "Print the version"],
      ]),
    ),
    section("EXIT STATUS", `${terms(exits)}\n.PP\n${roff(`exec, enter and run: ${OWN_FAILURE}`)}`),
    section(
      "ENVIRONMENT",
      terms([
        [
          "BERTH_ROOT",
          "A directory under which everything berth keeps is apart from the host's own instance",
        ],
        ["BERTH_DEBUG", "When set, failures show where in berth they arose"],
        ["NO_COLOR", "When set, no colours"],
      ]),
    ),
  ]);
}

/** berth-config(5), from settings by file. */
export function configPage(
  files: readonly { readonly path: string; readonly settings: readonly (readonly [string, string])[] }[],
  version: string,
): string {
  return page(
    "berth-config",
    version,
    [
      section("NAME", "berth\\-config \\- settings of containers and of the host"),
      section(
        "DESCRIPTION",
        roff(
          "YAML. A dot in a key stands for nesting. Sizes take K, M, G and T (powers of 1024), counts k, m and g (powers of 1000), durations ms, s, m, h and d. none takes a limit away.",
        ),
      ),
      ...files.map(({ path, settings }) => section("FILE", `\\fI${roff(path)}\\fR\n${terms(settings)}`)),
      section("SEE ALSO", seeAlso(["", "set", "config edit"])),
    ],
    "5",
  );
}

function page(name: string, version: string, sections: readonly string[], chapter = "1"): string {
  const head = `.TH "${roff(name.toUpperCase())}" "${chapter}" "" "berth ${roff(version)}" "berth manual"`;
  return `${[head, ".nh", ...sections.filter((text) => text !== "")].join("\n")}\n`;
}

function section(title: string, body: string): string {
  return `.SH ${title}\n${body}`;
}

function terms(rows: readonly (readonly [string, string])[]): string {
  return rows.map(([term, meaning]) => `.TP\n\\fB${roff(term)}\\fR\n${roff(sentence(meaning))}`).join("\n");
}

function sentence(text: string): string {
  return /[.:]$/.test(text) ? text : `${text}.`;
}

function examples(list: readonly Example[]): string {
  if (list.length === 0) return "";
  const shown = list.map(
    ({ command, what }) => `.PP\n${roff(what)}:\n.RS 4\n.nf\n${roff(command)}\n.fi\n.RE`,
  );
  return section("EXAMPLES", shown.join("\n"));
}

function seeAlso(names: readonly string[]): string {
  return names
    .map((name) => `\\fB${roff(name === "" ? "berth" : `berth-${name.replaceAll(" ", "-")}`)}\\fR(1)`)
    .join(", ");
}
