import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { containersByTemplate } from "../../container/templates.ts";
import { collectTemplates, unusedTemplates } from "../../storage/collect.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "template gc",
  summary: "Remove templates that nothing points to",
  description:
    "Removes the templates that have no name and that no container was made from: what a template's name pointed to before it was built anew. What builds that were killed have left goes as well. A template with a name stays until `berth template rm`.",
  arguments: [],
  options: [{ name: "dry-run", kind: "flag", summary: "Only say what would be removed" }],
  examples: [
    { command: "berth template gc --dry-run", what: "What would go, and how much space it takes" },
    { command: "berth template gc", what: "Remove it" },
  ],
  seeAlso: ["template ls", "template rm", "template build"],
  async run(context) {
    requireRoot();
    // Looked up anew each time: a container may be made while others are removed.
    const guard = { inUse: (digest: string): readonly string[] => containersByTemplate().get(digest) ?? [] };
    const dryRun = context.options["dry-run"];
    const templates = dryRun ? unusedTemplates(guard) : await collectTemplates(guard);
    const rows = templates.map(({ digest, metadata: { name, built, size } }) => ({
      digest,
      name,
      built,
      size,
    }));
    const total = rows.reduce((sum, { size }) => sum + size, 0);
    context.out.result({ removed: !dryRun, templates: rows, size: total }, () => {
      if (rows.length === 0) return context.quiet ? undefined : "every template has a name or a container";
      const verb = dryRun ? "would be removed" : "removed";
      const lines = rows.map(
        ({ digest, name, built, size }) =>
          `${digest.slice(0, 12)} (was ${name}, built ${built.slice(0, 10)}, ${formatSize(size)}): ${verb}`,
      );
      return context.quiet && !dryRun ? undefined : lines.join("\n");
    });
  },
});
