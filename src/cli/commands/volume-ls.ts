import { formatSize } from "../../base/units.ts";
import { listVolumes } from "../../storage/volumes.ts";
import { defineCommand } from "../framework/command.ts";
import { renderTable } from "../framework/table.ts";
import { volumeView } from "../volume-view.ts";

export const command = defineCommand({
  name: "volume ls",
  summary: "List volumes, what they hold and who uses them",
  arguments: [],
  options: [],
  examples: [{ command: "berth volume ls", what: "All volumes" }],
  seeAlso: ["volume create", "volume info"],
  async run(context) {
    const rows = (await listVolumes()).map(volumeView);
    context.out.result(rows, () =>
      rows.length === 0
        ? "no volumes: `berth volume create NAME` makes one"
        : renderTable(
            [
              { title: "name", cell: (row) => row.name },
              { title: "storage", cell: (row) => row.storage },
              {
                title: "size",
                align: "right",
                cell: (row) => (row.size === null ? "-" : formatSize(row.size)),
              },
              {
                title: "used",
                align: "right",
                cell: (row) => (row.used === null ? "-" : formatSize(row.used)),
              },
              {
                title: "used by",
                cell: (row) => row.users.map(({ name }) => name).join(", "),
                shrinks: true,
              },
            ],
            rows,
          ),
    );
  },
});
