import { requireRoot } from "../../base/root.ts";
import { attach } from "../../container/attach.ts";
import { openByName } from "../../container/container.ts";
import { explain, runOptions } from "../attach-options.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "exec",
  summary: "Run a command in a running container",
  description:
    "The command gets the guest's namespaces, limits and confinement. On a terminal it gets one of its own in the guest; otherwise input and output are passed as they are. Everything behind the name belongs to the command.\n\nThe exit code is the command's; 128 + N when signal N ended it, 126 when it cannot be run, 127 when there is no such command, 125 when berth failed.",
  arguments: [nameArgument],
  options: runOptions,
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
  seeAlso: ["enter", "console", "run-script", "cp"],
  async run(context) {
    requireRoot();
    const name = await openByName(context.arguments.name);
    const { user, cwd, env, tty } = context.options;
    return await attach(name, context.rest, {
      user,
      cwd,
      env: env.map(([key, value]) => `${key}=${value}`),
      tty: tty ?? "auto",
      explain,
    });
  },
});
