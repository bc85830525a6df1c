import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { layerSpace } from "../../container/layers.ts";
import { allPools } from "../../storage/pool.ts";
import { defineCommand } from "../framework/command.ts";
import { renderTable } from "../framework/table.ts";

export const command = defineCommand({
  name: "pool info",
  summary: "Show the pools: where they are, what they hold and what they have promised",
  description:
    "Also shows what lies in berth's own directory for want of a pool. `layers` is what snapshots keep, and what containers have written before their last one.",
  arguments: [],
  options: [],
  examples: [{ command: "berth pool info", what: "Size, use, and the sum of all limits" }],
  seeAlso: ["pool create", "pool grow"],
  async run(context) {
    requireRoot();
    const pools = await Promise.all(
      (await allPools()).map(async (pool) => ({ ...pool, ...(await layerSpace(pool.driver)) })),
    );
    for (const { driver, promised, size, source } of pools)
      if (promised > size && source.kind !== "own")
        context.progress.emit({
          type: "warning",
          text: `pool ${driver} is overbooked: it has promised ${formatSize(promised)} of ${formatSize(size)}; its guests can fill it below their limits`,
        });
    context.out.result({ pools }, () =>
      pools.length === 0
        ? "no pools, and no volumes yet: they would lie in berth's own directory"
        : renderTable(
            [
              { title: "driver", cell: ({ driver }) => driver },
              {
                title: "on",
                cell: ({ source }) => `${source.kind === "own" ? "no pool," : source.kind} ${source.path}`,
                shrinks: true,
              },
              { title: "fs", cell: ({ fileSystem }) => fileSystem ?? undefined },
              { title: "size", cell: ({ size }) => formatSize(size) },
              { title: "used", cell: ({ used }) => formatSize(used) },
              { title: "volumes", cell: ({ volumes }) => String(volumes) },
              {
                title: "layers",
                cell: ({ layers, layerBytes }) =>
                  layers === 0 ? undefined : `${formatSize(layerBytes)} in ${layers}`,
              },
              {
                title: "promised",
                cell: ({ promised, size }) =>
                  `${formatSize(promised)}${promised > size ? " (overbooked)" : ""}`,
              },
            ],
            pools,
          ),
    );
  },
});
