import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { joinConsole } from "../../container/attach.ts";
import { openByName } from "../../container/container.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

/** "^]", "^a" or one character to its byte. */
function keyByte(text: string): number {
  const control = /^\^([@-_a-z?])$/i.exec(text);
  if (control?.[1] !== undefined)
    return control[1] === "?" ? 127 : control[1].toUpperCase().charCodeAt(0) & 31;
  if (text === "none") return 0;
  if (/^[\x21-\x7e]$/.test(text)) return text.charCodeAt(0);
  throw new BerthError(
    "usage.bad-argument",
    `${JSON.stringify(text)} is not a key`,
    "write ^] or ^a for a control key, one character, or none",
  );
}

export const command = defineCommand({
  name: "console",
  summary: "Join the terminal to a container's console",
  description: "Shows what was printed lately, then the live console. Ctrl-] leaves it; the guest goes on.",
  arguments: [nameArgument],
  options: [
    {
      name: "escape",
      kind: "string",
      value: "KEY",
      default: "^]",
      summary: "Key that leaves the console, or none",
    },
  ],
  examples: [{ command: "berth console web1", what: "Watch web1 boot, or log in" }],
  seeAlso: ["log", "enter"],
  async run(context) {
    requireRoot();
    const key = keyByte(context.options.escape ?? "^]");
    const name = await openByName(context.arguments.name);
    return await joinConsole(name, key);
  },
});
