import { basename } from "node:path";
import { formatSize } from "../../base/units.ts";
import { containersByTemplate } from "../../container/templates.ts";
import { listTemplates, type TemplateMetadata } from "../../storage/templates.ts";
import { defineCommand } from "../framework/command.ts";
import { renderTable } from "../framework/table.ts";

export const command = defineCommand({
  name: "template ls",
  summary: "List templates",
  arguments: [],
  options: [],
  examples: [{ command: "berth template ls", what: "All templates and how many containers use each" }],
  seeAlso: ["template build", "template info"],
  async run(context) {
    const users = containersByTemplate();
    const rows = listTemplates().map(({ names, metadata }) => ({
      ...metadata,
      names,
      containers: users.get(metadata.digest) ?? [],
    }));
    context.out.result(rows, () =>
      renderTable(
        [
          { title: "name", cell: (row) => row.names.join(", ") },
          { title: "digest", cell: (row) => row.digest.slice(0, 12) },
          { title: "release", cell: (row) => row.release },
          { title: "init", cell: (row) => row.initKind },
          { title: "size", align: "right", cell: (row) => formatSize(row.size) },
          { title: "built", cell: (row) => row.built.slice(0, 10) },
          { title: "from", cell: (row) => fromWhere(row) },
          { title: "containers", align: "right", cell: (row) => row.containers.length },
        ],
        rows,
      ),
    );
  },
});

/** The file that was imported, or what it was built from. */
function fromWhere({ origin, mirror, distribution }: TemplateMetadata): string {
  if (origin !== undefined) return origin.source === "-" ? "stdin" : basename(origin.source);
  return mirror === "" ? distribution : "packages";
}
