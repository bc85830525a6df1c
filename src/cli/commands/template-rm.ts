import { requireRoot } from "../../base/root.ts";
import { containersByTemplate } from "../../container/templates.ts";
import { removeTemplate } from "../../storage/templates.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "template rm",
  summary: "Remove templates that no container uses",
  arguments: [
    {
      name: "template",
      kind: "template",
      variadic: true,
      summary: "Name, or the beginning of a digest; several may be named",
    },
  ],
  options: [],
  examples: [
    { command: "berth template rm debian-12", what: "Remove it, unless a container was made from it" },
  ],
  seeAlso: ["template ls"],
  async run(context) {
    requireRoot();
    const users = containersByTemplate();
    const inUse = (digest: string): string[] => users.get(digest) ?? [];
    return await eachName(
      context,
      context.arguments.template,
      async (name) => removeTemplate(name, { inUse }),
      {
        render: (name) => (context.quiet ? undefined : `${name}: removed`),
      },
    );
  },
});
