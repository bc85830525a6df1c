/** `berth __complete`: what the shells' completion scripts ask. */
import { readdirSync } from "node:fs";
import { containerPaths, instance, templatesDir } from "../../base/paths.ts";
import { containerSettings } from "../../config/reference.ts";
import { resolveName } from "../../container/name.ts";
import { loadConfig } from "../../container/store.ts";
import { commandTable } from "../command-table.ts";
import { nameOf } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { complete } from "../framework/completion.ts";
import { joinBroken, shells } from "../framework/shells.ts";

/** A directory's entries by name; nothing when it cannot be read, for completion must never complain. */
function entries(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
      .filter((name) => !name.startsWith("."))
      .sort();
  } catch {
    return [];
  }
}

const jsonNames = (directory: string): readonly string[] =>
  entries(directory).flatMap((file) => /^(.*)\.json$/.exec(file)?.[1] ?? []);

function mountTargets(container: string): readonly string[] {
  try {
    return loadConfig(resolveName(container)).mounts.map(({ target }) => target);
  } catch {
    return [];
  }
}

export const command = defineCommand({
  name: "__complete",
  summary: "Print what can stand at the cursor",
  hidden: true,
  arguments: [{ name: "shell", kind: "choice", choices: shells, summary: "The shell that asks" }],
  options: [],
  passthrough: { name: "words", summary: "What stands behind berth, the last word being completed" },
  examples: [],
  async run({ arguments: { shell }, rest, out }) {
    const words = shell === "bash" ? joinBroken(rest) : rest;
    const { candidates, files } = await complete(commandTable, words, {
      container: () => entries(`${instance.lib}/containers`),
      template: () => entries(`${templatesDir()}/names`),
      volume: () => jsonNames(`${instance.lib}/volumes`),
      setting: () => containerSettings().map(({ key }) => key),
      snapshot: (container) => jsonNames(containerPaths(nameOf(container)).snapshots),
      "mount-target": mountTargets,
    });
    // bash replaces only what stands behind the "=" at which it broke the word.
    const equals = shell === "bash" ? (words.at(-1) ?? "").indexOf("=") : -1;
    const lines = candidates.map(({ value, what }) => `${value.slice(equals + 1)}\t${what}`);
    out.raw([...lines, files ? ":files" : ":none", ""].join("\n"));
  },
});
