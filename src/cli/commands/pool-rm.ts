import { requireRoot } from "../../base/root.ts";
import { needPool, removePool } from "../../storage/pool.ts";
import { defineCommand } from "../framework/command.ts";
import { poolOption } from "../pool-option.ts";

export const command = defineCommand({
  name: "pool rm",
  summary: "Remove a pool that holds no volume",
  description: "Unmounts it and removes its file. A partition keeps its file system.",
  arguments: [],
  options: [poolOption] as const,
  examples: [{ command: "berth pool rm --driver project", what: "Remove the empty pool" }],
  seeAlso: ["pool create"],
  async run(context) {
    requireRoot();
    const { driver } = needPool(context.options.driver);
    removePool(driver);
    context.out.result({ driver }, () => `pool ${driver}: removed`);
  },
});
