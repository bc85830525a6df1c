import { requireRoot } from "../../base/root.ts";
import { followConsole } from "../../container/attach.ts";
import { openByName } from "../../container/container.ts";
import { consoleLog } from "../../container/log.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { visibleLines } from "../framework/escape.ts";

/** Colours and the question for the cursor's place (ECMA-48 SGR, DSR): they say nothing in a log. */
const ESC = "\u001b";
const decoration = new RegExp(`${ESC}\\[(?:[0-9;]*m|6n)`, "g");

export const command = defineCommand({
  name: "log",
  summary: "Show what a container printed on its console",
  description:
    "The boot messages and all that was written to the console, also of earlier runs. Control characters of the guest are shown, not obeyed, unless --raw.",
  arguments: [nameArgument],
  options: [
    { name: "lines", short: "n", kind: "count", default: "all", summary: "Only the last N lines" },
    { name: "follow", short: "f", kind: "flag", summary: "Go on with what is printed from now" },
    { name: "raw", kind: "flag", summary: "Print the bytes as the guest wrote them" },
  ],
  examples: [
    { command: "berth log web1 -n 20", what: "The last twenty lines" },
    { command: "berth log web1 --follow", what: "Watch it" },
  ],
  seeAlso: ["console"],
  async run(context) {
    requireRoot();
    const name = await openByName(context.arguments.name);
    const { follow, lines, raw } = context.options;
    const shown = (bytes: Uint8Array): string =>
      visibleLines(Buffer.from(bytes).toString().replace(decoration, "").replace(/\r+\n/g, "\n"));
    if (follow) return await followConsole(name, (bytes) => context.out.raw(raw ? bytes : shown(bytes)));
    const text = consoleLog(name, lines);
    if (raw) context.out.raw(text);
    else context.out.result({ name, text: text.toString() }, () => shown(text));
    return 0;
  },
});
