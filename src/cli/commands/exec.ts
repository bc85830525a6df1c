import { requireRoot } from "../../base/root.ts";
import { attach } from "../../container/attach.ts";
import { openByName } from "../../container/container.ts";
import { writeAll } from "../../kernel/terminal.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { visible } from "../framework/escape.ts";

export const command = defineCommand({
  name: "exec",
  summary: "Run a command in a running container",
  description:
    "The command gets the guest's namespaces, limits and confinement. On a terminal it gets one of its own in the guest; otherwise input and output are passed as they are. Everything behind the name belongs to the command.\n\nThe exit code is the command's; 128 + N when signal N ended it, 126 when it cannot be run, 127 when there is no such command, 125 when berth failed.",
  arguments: [nameArgument],
  options: [
    {
      name: "user",
      short: "u",
      kind: "string",
      value: "USER[:GROUP]",
      summary: "Who runs it: a name of the guest's, or a number",
    },
    {
      name: "cwd",
      short: "w",
      kind: "string",
      value: "DIR",
      summary: "Directory in the guest to run it in; the user's home when absent",
    },
    {
      name: "env",
      short: "e",
      kind: "pair",
      repeatable: true,
      summary: "Environment variable; may be repeated",
    },
    {
      name: "tty",
      kind: "choice",
      choices: ["auto", "always", "never"],
      default: "auto",
      summary: "Whether it gets a terminal of its own",
    },
  ],
  passthrough: { name: "command", summary: "Program and arguments" },
  passesExitCode: true,
  examples: [
    { command: "berth exec web1 systemctl is-system-running", what: "Ask the guest's systemd" },
    {
      command: "berth exec --user www-data web1 -- sh -c 'id; pwd'",
      what: "Run a shell command as a user of the guest",
    },
    { command: "tar c dir | berth exec web1 tar x -C /srv", what: "Feed a command from the host" },
  ],
  seeAlso: ["enter", "console"],
  async run(context) {
    requireRoot();
    const name = await openByName(context.arguments.name);
    const { user, cwd, env, tty } = context.options;
    return await attach(name, context.rest, {
      user,
      cwd,
      env: env.map(([key, value]) => `${key}=${value}`),
      tty: tty ?? "auto",
      explain: (why) => writeAll(2, `berth: ${visible(why)}\n`),
    });
  },
});
