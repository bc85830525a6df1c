import { readFileSync } from "node:fs";
import { containerPaths } from "../../base/paths.ts";
import { resolveName } from "../../container/name.ts";
import { loadConfig } from "../../container/store.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "config show",
  summary: "Show a container's config.yaml",
  description:
    "The file as it is, comments and all. With --json every setting with its default, sizes in bytes, times in seconds.",
  arguments: [nameArgument],
  options: [],
  examples: [{ command: "berth config show web1", what: "The settings of web1" }],
  seeAlso: ["config edit", "set"],
  async run(context) {
    const name = resolveName(context.arguments.name);
    if (context.json) context.out.result(loadConfig(name));
    else context.out.raw(readFileSync(containerPaths(name).config, "utf8"));
  },
});
