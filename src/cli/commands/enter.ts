import { requireRoot } from "../../base/root.ts";
import { attach } from "../../container/attach.ts";
import { openByName } from "../../container/container.ts";
import { writeAll } from "../../kernel/terminal.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { visible } from "../framework/escape.ts";

/** bash where the guest has it; every guest has some sh. */
const loginShell = ["/bin/sh", "-c", "[ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh -l"];

export const command = defineCommand({
  name: "enter",
  summary: "Open a shell in a running container",
  arguments: [nameArgument],
  options: [
    {
      name: "user",
      short: "u",
      kind: "string",
      value: "USER[:GROUP]",
      summary: "Whose shell: a name of the guest's, or a number; root when absent",
    },
  ],
  passesExitCode: true,
  examples: [{ command: "berth enter web1", what: "A root shell in web1; exit leaves it" }],
  seeAlso: ["exec", "console"],
  async run(context) {
    requireRoot();
    const name = await openByName(context.arguments.name);
    return await attach(name, loginShell, {
      user: context.options.user,
      cwd: undefined,
      env: [],
      tty: "auto",
      explain: (why) => writeAll(2, `berth: ${visible(why)}\n`),
    });
  },
});
