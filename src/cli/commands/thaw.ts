import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { thawContainer } from "../../container/freeze.ts";
import { statusOf } from "../../container/status.ts";
import { namesArgument, namesOf } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "thaw",
  summary: "Let frozen containers go on",
  arguments: [namesArgument],
  options: [],
  examples: [{ command: "berth thaw web1", what: "Let web1 go on" }],
  seeAlso: ["freeze"],
  async run(context) {
    requireRoot();
    const names = namesOf(context, (name) => statusOf(name).state === "frozen");
    return await eachName(
      context,
      names,
      (name) => withContainer(name, async (container) => thawContainer(container)),
      {
        render: (name) => (context.quiet ? undefined : `${name}: thawed`),
      },
    );
  },
});
