import { mustRun, openContainer } from "../../container/container.ts";
import { diskOf } from "../../container/disk.ts";
import { type Layer, securityLayers } from "../../container/security.ts";
import { listSnapshots } from "../../container/snapshots.ts";
import { viewOf, watchDisks } from "../../container/view.ts";
import { refreshCard } from "../card.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { renderFields, renderTable } from "../framework/table.ts";
import { figuresOf, infoFactsOf, infoFields } from "../info-fields.ts";
import { verdictColours, verdictWords } from "../verdicts.ts";
import { viewData } from "../view-data.ts";

const renderLayers = (layers: readonly Layer[]): string =>
  renderTable(
    [
      { title: "layer", cell: ({ layer }) => layer },
      {
        title: "verdict",
        cell: ({ verdict }) => verdictWords[verdict],
        colour: ({ verdict }) => verdictColours[verdict],
      },
      { title: "what", shrinks: true, cell: ({ detail }) => detail },
    ],
    layers,
  );

export const command = defineCommand({
  name: "info",
  summary: "Show a container in full",
  arguments: [nameArgument],
  options: [
    {
      name: "security",
      kind: "flag",
      summary: "Show the layers that hold it instead, as the kernel has them now",
    },
  ] as const,
  examples: [
    { command: "berth info web1", what: "State, limits and what it uses now" },
    { command: "berth info web1 --json", what: "The same for a script" },
    { command: "berth info web1 --security", what: "What keeps it from the host, layer by layer" },
  ],
  seeAlso: ["ls", "config show", "log"],
  async run(context) {
    const container = await openContainer(context.arguments.name);
    const { name } = container;
    if (context.options.security === true) {
      const layers = securityLayers(container, mustRun(name).init.pid);
      context.out.result({ name, layers }, () => renderLayers(layers));
      return;
    }
    const view = viewOf(name);
    watchDisks();
    const disk = view.disk ?? diskOf(view);
    const snapshots = listSnapshots(name).length;
    context.out.result({ ...viewData(view), disk: disk ?? null, snapshots }, () =>
      renderFields(infoFields(infoFactsOf(view, disk, snapshots), figuresOf(view, disk))),
    );
    refreshCard(name);
  },
});
