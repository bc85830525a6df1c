/** `berth completion`: the script a shell sources. */
import { defineCommand } from "../framework/command.ts";
import { completionScript, shells } from "../framework/shells.ts";

export const command = defineCommand({
  name: "completion",
  summary: "Print the completion script of a shell",
  description:
    "The script completes commands, options, and the names of containers and templates. " +
    "npm run install:host and the Debian package put it in place for every user; this command is for other cases.",
  arguments: [{ name: "shell", kind: "choice", choices: shells, summary: "The shell that will source it" }],
  options: [],
  examples: [
    { command: "source <(berth completion bash)", what: "Complete in this bash" },
    {
      command: "berth completion fish > ~/.config/fish/completions/berth.fish",
      what: "Complete in every fish of this user",
    },
  ],
  async run({ arguments: { shell }, out }) {
    const script = completionScript(shell);
    out.result({ shell, script }, () => script);
  },
});
