import { requireRoot } from "../../base/root.ts";
import { removeContainer } from "../../container/remove.ts";
import { namesArgument, namesOf } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "rm",
  summary: "Remove containers with all their data",
  description:
    "Removes the container, its disk, its settings and its logs. One that runs, or is mounted by `berth mount`, is refused unless forced.",
  arguments: [namesArgument],
  options: [
    {
      name: "force",
      short: "f",
      kind: "flag",
      summary: "Kill it first when it runs, unmount it when it is mounted",
    },
  ],
  examples: [
    { command: "berth rm web1", what: "Remove a stopped container" },
    { command: "berth rm --force web1", what: "Kill web1 and remove it" },
  ],
  seeAlso: ["create", "stop", "umount"],
  async run(context) {
    requireRoot();
    const { force } = context.options;
    return await eachName(context, namesOf(context), (name) => removeContainer(name, force), {
      render: (name) => (context.quiet ? undefined : `${name}: removed`),
    });
  },
});
