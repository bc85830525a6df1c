import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { allPools } from "../../storage/pool.ts";
import { defineCommand } from "../framework/command.ts";
import { renderTable } from "../framework/table.ts";

export const command = defineCommand({
  name: "pool info",
  summary: "Show the pools: where they are, what they hold and what they have promised",
  arguments: [],
  options: [],
  examples: [{ command: "berth pool info", what: "Size, use, and the sum of all limits" }],
  seeAlso: ["pool create", "pool grow"],
  async run(context) {
    requireRoot();
    const pools = allPools();
    for (const { driver, promised, size } of pools)
      if (promised > size)
        context.progress.emit({
          type: "warning",
          text: `pool ${driver} is overbooked: it has promised ${formatSize(promised)} of ${formatSize(size)}; its guests can fill it below their limits`,
        });
    context.out.result({ pools }, () =>
      pools.length === 0
        ? "no pools: volumes lie in berth's own directory"
        : renderTable(
            [
              { title: "driver", cell: ({ driver }) => driver },
              { title: "on", cell: ({ source }) => `${source.kind} ${source.path}`, shrinks: true },
              { title: "fs", cell: ({ fileSystem }) => fileSystem },
              { title: "size", cell: ({ size }) => formatSize(size) },
              { title: "used", cell: ({ used }) => formatSize(used) },
              { title: "volumes", cell: ({ volumes }) => String(volumes) },
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
