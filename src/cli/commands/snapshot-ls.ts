import { formatSize } from "../../base/units.ts";
import { containerNames, resolveName } from "../../container/name.ts";
import { type SnapshotView, viewSnapshots } from "../../container/snapshot-view.ts";
import { defineCommand } from "../framework/command.ts";
import { type Column, renderTable } from "../framework/table.ts";

const columns: readonly Column<SnapshotView>[] = [
  { title: "container", cell: ({ container }) => container },
  { title: "snapshot", cell: ({ snapshot }) => snapshot.name },
  { title: "taken", cell: ({ snapshot }) => snapshot.created },
  { title: "guest", cell: ({ snapshot }) => (snapshot.running ? "running" : "stopped") },
  {
    title: "size",
    align: "right",
    cell: ({ bytes }) => (bytes === undefined ? undefined : formatSize(bytes)),
  },
  {
    title: "memory",
    align: "right",
    cell: ({ snapshot }) => (snapshot.memory === null ? undefined : formatSize(snapshot.memory.bytes)),
  },
  { title: "expires", cell: ({ snapshot }) => snapshot.expires ?? undefined },
  { title: "description", shrinks: true, cell: ({ snapshot }) => snapshot.description ?? undefined },
];

export const command = defineCommand({
  name: "snapshot ls",
  summary: "List snapshots",
  description:
    "Oldest first. The size is what the snapshot's topmost layer takes; clones and the container itself may use the same layer. Memory is what the processes take of one that kept them.",
  arguments: [{ name: "name", kind: "container", variadic: true, optional: true, summary: "Only of these" }],
  options: [],
  examples: [{ command: "berth snapshot ls web1", what: "The snapshots of web1" }],
  seeAlso: ["snapshot create", "snapshot rm"],
  async run(context) {
    const named = context.arguments.name;
    const names = named.length > 0 ? [...new Set(named.map(resolveName))] : containerNames();
    const views = names.flatMap(viewSnapshots);
    context.out.result(
      views.map(({ container, snapshot, bytes }) => ({ container, ...snapshot, bytes: bytes ?? null })),
      () => renderTable(columns, views),
    );
  },
});
