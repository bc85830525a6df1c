import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { growPool, needPool } from "../../storage/pool.ts";
import { defineCommand } from "../framework/command.ts";
import { poolOption } from "../pool-option.ts";

export const command = defineCommand({
  name: "pool grow",
  summary: "Make a pool larger while its guests run",
  description:
    "A pool in a file gets the size that is given; one on a partition takes what the partition has become.",
  arguments: [],
  options: [poolOption, { name: "size", kind: "size", summary: "New size of the file" }] as const,
  examples: [{ command: "berth pool grow --size 200G", what: "A pool in a file becomes 200 GiB large" }],
  seeAlso: ["pool info"],
  async run(context) {
    requireRoot();
    const pool = await growPool(needPool(context.options.driver), context.options.size);
    context.out.result(pool, () => `pool ${pool.driver}: ${formatSize(pool.size)}`);
  },
});
