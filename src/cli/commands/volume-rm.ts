import { requireRoot } from "../../base/root.ts";
import { removeUnused } from "../../container/volume-users.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";
import { volumeArgument } from "../volume-argument.ts";

export const command = defineCommand({
  name: "volume rm",
  summary: "Remove volumes with all data, unless a container uses them",
  arguments: [{ ...volumeArgument, variadic: true, summary: "The volume's name; several may be named" }],
  options: [],
  examples: [{ command: "berth volume rm pictures", what: "Remove it, unless a container mounts it" }],
  seeAlso: ["volume ls"],
  async run(context) {
    requireRoot();
    return await eachName(context, context.arguments.volume, removeUnused, {
      render: (name) => (context.quiet ? undefined : `${name}: removed`),
    });
  },
});
