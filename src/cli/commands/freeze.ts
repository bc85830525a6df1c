import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { freezeContainer } from "../../container/freeze.ts";
import { statusOf } from "../../container/status.ts";
import { namesArgument, namesOf } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "freeze",
  summary: "Freeze containers: every process stands still",
  description: "Memory and connections stay; no processor time is used. `berth thaw` lets them go on.",
  arguments: [namesArgument],
  options: [],
  examples: [{ command: "berth freeze web1", what: "Hold web1 where it is" }],
  seeAlso: ["thaw", "stop"],
  async run(context) {
    requireRoot();
    const names = namesOf(context, (name) => statusOf(name).state === "running");
    return await eachName(
      context,
      names,
      (name) => withContainer(name, async (container) => freezeContainer(container)),
      {
        render: (name) => (context.quiet ? undefined : `${name}: frozen`),
      },
    );
  },
});
