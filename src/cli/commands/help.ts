/** `berth help`: the manual page of a command, or the list of all. */

import { version } from "../../base/version.ts";
import { isTerminal } from "../../kernel/terminal.ts";
import { commandTable } from "../command-table.ts";
import { defineCommand } from "../framework/command.ts";
import { commandHelp, groupHelp, overview } from "../framework/help.ts";
import { commandPage } from "../framework/man.ts";
import { groupOf, loadAll, loadGroup, resolve } from "../framework/resolve.ts";

const STDOUT = 1;

/** Shows a page by man(1) on a terminal. False when there is no man or it failed. */
async function showByMan(page: string): Promise<boolean> {
  const man = Bun.which("man");
  if (man === null || !isTerminal(STDOUT)) return false;
  const child = Bun.spawn([man, "-l", "-"], {
    stdin: Buffer.from(page),
    stdout: "inherit",
    stderr: "ignore",
  });
  return (await child.exited) === 0;
}

export const command = defineCommand({
  name: "help",
  summary: "Show the manual page of a command, or all commands",
  arguments: [
    {
      name: "command",
      kind: "string",
      optional: true,
      variadic: true,
      summary: 'Its name, such as "create"',
    },
  ],
  options: [{ name: "roff", kind: "flag", summary: "Print the manual page's source" }],
  examples: [
    { command: "berth help create", what: "Read about berth create" },
    { command: "berth help template build", what: "Read about a command of two words" },
  ],
  async run({ arguments: { command: words }, options, out }) {
    const sections = await loadAll(commandTable);
    if (words.length === 0) {
      const commands = sections.flatMap(({ title, commands: own }) =>
        own.map(({ name, summary }) => ({ section: title, name, summary })),
      );
      out.result(commands, () => overview(sections));
      return;
    }
    const group = groupOf(commandTable, words);
    if (group !== undefined) {
      const commands = await loadGroup(group);
      const data = commands.map(({ name, summary }) => ({ name, summary }));
      out.result(data, () => groupHelp(words.join(" "), group.summary, commands));
      return;
    }
    const { command: asked } = await resolve(commandTable, words);
    const page = commandPage(asked, version);
    if (options.roff) {
      out.raw(page);
      return;
    }
    const text = commandHelp(asked);
    if (!(await showByMan(page)))
      out.result({ name: asked.name, summary: asked.summary, help: text }, () => text);
  },
});
