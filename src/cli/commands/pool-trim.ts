import { requireRoot } from "../../base/root.ts";
import { needPool, trimPool } from "../../storage/pool.ts";
import { defineCommand } from "../framework/command.ts";
import { poolOption } from "../pool-option.ts";

export const command = defineCommand({
  name: "pool trim",
  summary: "Give the free blocks of a pool back to the disk or the host",
  arguments: [],
  options: [poolOption] as const,
  examples: [{ command: "berth pool trim", what: "Trim the only pool there is" }],
  seeAlso: ["pool info"],
  async run(context) {
    requireRoot();
    const pool = needPool(context.options.driver);
    const said = await trimPool(pool);
    context.out.result({ driver: pool.driver, said }, () => said);
  },
});
