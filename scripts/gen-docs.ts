/**
 * Documents made from data in the code: docs/reference/. With --check it writes nothing and fails when
 * one is out of date; with --man DIR it writes the manual pages there, with --completion DIR the shells' scripts.
 */
import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { errorReference } from "../src/base/error-meanings.ts";
import { readIfExists, writeAtomic } from "../src/base/files.ts";
import { version } from "../src/base/version.ts";
import { commandTable } from "../src/cli/command-table.ts";
import { commandPage, configPage, mainPage, pageName } from "../src/cli/framework/man.ts";
import { cliReference } from "../src/cli/framework/reference.ts";
import { loadAll } from "../src/cli/framework/resolve.ts";
import { completionScript, shells } from "../src/cli/framework/shells.ts";
import { configReference, containerSettings, hostSettings, type Setting } from "../src/config/reference.ts";

const root = resolve(import.meta.dir, "..");

/** Writes a file that anyone may read, with the directories above it. */
function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeAtomic(path, content, { mode: 0o644, sync: false });
}

/** The value of `--name VALUE`. */
function optionValue(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

async function main(): Promise<number> {
  const sections = await loadAll(commandTable);
  const man = optionValue("--man");
  const completion = optionValue("--completion");
  if (man !== undefined) {
    write(join(man, "berth.1"), mainPage(sections, version));
    for (const command of sections.flatMap(({ commands }) => commands))
      write(join(man, `${pageName(command)}.1`), commandPage(command, version));
    const files = [
      { path: "/var/lib/berth/containers/NAME/config.yaml", settings: containerSettings().map(settingTerm) },
      { path: "/etc/berth/berth.yaml", settings: hostSettings().map(settingTerm) },
    ];
    write(join(man, "berth-config.5"), configPage(files, version));
  }
  if (completion !== undefined)
    for (const shell of shells) write(join(completion, `berth.${shell}`), completionScript(shell));
  if (man !== undefined || completion !== undefined) return 0;

  const documents = {
    "docs/reference/cli.md": cliReference(sections),
    "docs/reference/config.md": configReference(),
    "docs/reference/errors.md": errorReference(),
  };
  const stale = Object.entries(documents).filter(([path, text]) => readIfExists(join(root, path)) !== text);
  if (process.argv.includes("--check") && stale.length > 0) {
    console.error(`${stale.map(([path]) => path).join(", ")}: out of date; run: npm run docs`);
    return 1;
  }
  for (const [path, text] of stale) write(join(root, path), text);
  return 0;
}

/** A setting as berth-config(5) lists it. */
function settingTerm({ key, description, example, default: value, required }: Setting): [string, string] {
  const fallback = required ? "It must be given." : value === undefined ? "" : `Default: ${value}.`;
  return [key, `${description} For example ${example}. ${fallback}`.trim()];
}

process.exitCode = await main();
