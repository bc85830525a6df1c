import { exitCodes } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { volumeOwners } from "../../container/volumes.ts";
import { needPool } from "../../storage/pool.ts";
import { poolFaults } from "../../storage/pool-faults.ts";
import { defineCommand } from "../framework/command.ts";
import { poolOption } from "../pool-option.ts";

export const command = defineCommand({
  name: "pool check",
  summary: "Look for faults in a pool while it is in use",
  description:
    "Writes a file, runs into a quota of 1 MiB, compares volumes, their project ids or quota groups, and containers, and asks the kernel for errors that it met. Leaves nothing behind. Exits with 1 when there is a fault.",
  arguments: [],
  options: [poolOption] as const,
  examples: [{ command: "berth pool check", what: "Check the only pool there is" }],
  seeAlso: ["pool info", "check"],
  async run(context) {
    requireRoot();
    const pool = needPool(context.options.driver);
    const { volumes, underWay } = await volumeOwners(pool.driver);
    const faults = await poolFaults(pool, volumes);
    for (const name of underWay)
      context.progress.emit({
        type: "warning",
        text: `another command works on ${name}: its volume may be shown as a fault`,
      });
    context.out.result({ driver: pool.driver, ok: faults.length === 0, faults }, () =>
      faults.length === 0 ? `pool ${pool.driver}: sound` : faults.join("\n"),
    );
    return faults.length === 0 ? exitCodes.ok : exitCodes.failed;
  },
});
