import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { renameContainer } from "../../container/rename.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "rename",
  summary: "Give a stopped container another name",
  description:
    "Address, user ids, snapshots and settings stay. Its host name follows at the next start, unless `hostname` is set.",
  arguments: [nameArgument, { name: "to", kind: "string", summary: "The new name" }],
  options: [],
  examples: [{ command: "berth rename web1 shop", what: "web1 is called shop from now on" }],
  seeAlso: ["clone", "set"],
  async run(context) {
    requireRoot();
    const { name, to } = context.arguments;
    await withContainer(name, async (container) => await renameContainer(container, to));
    context.out.result({ name: to, was: name }, () => `${name}: now ${to}`);
  },
});
