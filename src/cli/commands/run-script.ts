import { requireRoot } from "../../base/root.ts";
import { runScript } from "../../container/run-script.ts";
import { explain, runOptions } from "../attach-options.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "run-script",
  summary: "Run a script of the host in a container, running or stopped",
  description:
    "FILE is read on the host and run inside, with the interpreter of its #! line as the container has it, or /bin/sh; what stands behind FILE are its arguments. No copy of it is left in the container. Input, output and exit code are as with `berth exec`.\n\nA stopped container is not started for it: the script gets namespaces, limits and confinement as a start would make them, with loopback as its only network unless --network, and when it ends everything that it left running is killed. The container is stopped as before.",
  arguments: [nameArgument, { name: "file", kind: "path", summary: "The script, on this host" }],
  options: [
    ...runOptions,
    { name: "network", kind: "flag", summary: "Give a stopped container its network for the script" },
  ],
  passthrough: { name: "args", summary: "Arguments of the script", optional: true },
  passesExitCode: true,
  examples: [
    { command: "berth run-script web1 fix-resolver.sh", what: "Mend a container that does not boot" },
    {
      command: "berth run-script --network web1 upgrade.sh --yes",
      what: "With its network, and an argument",
    },
  ],
  seeAlso: ["exec", "mount"],
  async run(context) {
    requireRoot();
    const { name, file } = context.arguments;
    const { user, cwd, env, tty, network } = context.options;
    return await runScript(name, file, context.rest, {
      user,
      cwd,
      env: env.map(([key, value]) => `${key}=${value}`),
      tty: tty ?? "auto",
      network,
      explain,
    });
  },
});
