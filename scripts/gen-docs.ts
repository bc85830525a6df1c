/**
 * Documents made from the commands' data: docs/reference/cli.md. With --check it writes nothing and fails when
 * one is out of date; with --man DIR it writes the manual pages there, with --completion DIR the shells' scripts.
 */
import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { readIfExists, writeAtomic } from "../src/base/files.ts";
import { version } from "../src/base/version.ts";
import { commandTable } from "../src/cli/command-table.ts";
import { commandPage, mainPage, pageName } from "../src/cli/framework/man.ts";
import { cliReference } from "../src/cli/framework/reference.ts";
import { loadAll } from "../src/cli/framework/resolve.ts";
import { completionScript, shells } from "../src/cli/framework/shells.ts";

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
  }
  if (completion !== undefined)
    for (const shell of shells) write(join(completion, `berth.${shell}`), completionScript(shell));
  if (man !== undefined || completion !== undefined) return 0;

  const path = join(root, "docs/reference/cli.md");
  const text = cliReference(sections);
  if (readIfExists(path) === text) return 0;
  if (process.argv.includes("--check")) {
    console.error("docs/reference/cli.md is out of date; run: npm run docs");
    return 1;
  }
  write(path, text);
  return 0;
}

process.exitCode = await main();
