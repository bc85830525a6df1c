import { formatDuration, formatSize } from "../../base/units.ts";
import { resolveName } from "../../container/name.ts";
import { type BrokenView, type View, viewAll } from "../../container/view.ts";
import { leaveCards } from "../card.ts";
import { defineCommand } from "../framework/command.ts";
import { errorData } from "../framework/report.ts";
import { type Column, renderTable } from "../framework/table.ts";
import { diskCell, memoryCell } from "../ls-cells.ts";
import { stateWord, viewData } from "../view-data.ts";

type Row = View | BrokenView;

const stateOf = (row: Row): string => {
  if ("broken" in row) return row.running ? "running (broken config)" : "broken";
  const word = stateWord(row.status, row.state);
  if (row.status.state === "running" && row.status.unattended) return `${word} (unattended)`;
  return row.mounted.length === 0 ? word : `${word} (mounted)`;
};

const of = (row: Row, cell: (view: View) => string | number | undefined): string | number | undefined =>
  "broken" in row ? undefined : cell(row);

const size = (bytes: number | undefined): string | undefined =>
  bytes === undefined ? undefined : formatSize(bytes);

/** Marked when it is above a soft limit. */
const markedDiskCell = (view: View): string | undefined => {
  const cell = diskCell(size(view.disk?.used), view);
  return view.disk?.over ? `${cell}!` : cell;
};

const columns: readonly Column<Row>[] = [
  { title: "name", cell: (row) => row.name },
  {
    title: "state",
    cell: stateOf,
    colour: (row) =>
      "broken" in row
        ? "red"
        : row.status.state === "running"
          ? "green"
          : row.status.state === "frozen"
            ? "blue"
            : "dim",
  },
  { title: "address", cell: (row) => of(row, ({ state }) => state.address?.split("/")[0]) },
  { title: "template", cell: (row) => of(row, ({ config }) => config.template) },
  {
    title: "memory",
    align: "right",
    cell: (row) => of(row, (view) => memoryCell(size(view.usage?.memory), view)),
  },
  {
    title: "disk",
    align: "right",
    cell: (row) => of(row, markedDiskCell),
    colour: (row) => ("broken" in row || !row.disk?.over ? undefined : "yellow"),
  },
  { title: "pids", align: "right", cell: (row) => of(row, ({ usage }) => usage?.pids) },
  {
    title: "uptime",
    align: "right",
    cell: (row) => of(row, ({ uptime }) => (uptime === undefined ? undefined : formatDuration(uptime))),
  },
  {
    title: "description",
    shrinks: true,
    cell: (row) => ("broken" in row ? row.broken.message : row.config.description),
  },
];

export const command = defineCommand({
  name: "ls",
  summary: "List containers",
  description:
    "Shows every container with its state, address, memory and disk in use and their limits. The figures are the kernel's, read now; `!` marks one that is above a soft limit of its disk. A suspended container waits to be resumed, a mounted one (`berth mount`) cannot start until it is unmounted.",
  arguments: [{ name: "name", kind: "container", variadic: true, optional: true, summary: "Only these" }],
  options: [
    { name: "running", short: "r", kind: "flag", summary: "Only those that run" },
    { name: "names", short: "n", kind: "flag", summary: "Print names only, one a line" },
  ],
  examples: [
    { command: "berth ls", what: "All containers" },
    { command: "berth ls --running --names", what: "Names of those that run, for a script" },
  ],
  seeAlso: ["info"],
  async run(context) {
    const named = context.arguments.name;
    const all = await viewAll(named.length > 0 ? [...new Set(named.map(resolveName))] : undefined);
    const rows = context.options.running
      ? all.filter((row) => ("broken" in row ? row.running : row.status.state !== "stopped"))
      : all;
    const data = rows.map((row) =>
      "broken" in row
        ? { name: row.name, state: row.running ? "running" : "stopped", error: errorData(row.broken) }
        : viewData(row),
    );
    context.out.result(data, () => {
      if (context.options.names) return rows.map((row) => row.name).join("\n");
      // No description, no column.
      const shown = rows.some((row) => "broken" in row || row.config.description !== undefined)
        ? columns
        : columns.slice(0, -1);
      return renderTable(shown, rows);
    });
    if (named.length === 0 && !context.json) leaveCards(all.flatMap((row) => ("broken" in row ? [] : [row])));
  },
});
