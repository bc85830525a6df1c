import { requireRoot } from "../../base/root.ts";
import { driverNames } from "../../config/storage-drivers.ts";
import { withContainer } from "../../container/container.ts";
import { limitWarnings } from "../../container/disk-limits.ts";
import { moveContainer } from "../../container/move.ts";
import { nameArgument, warnTo } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "move",
  summary: "Move a stopped container to another pool",
  description:
    "Copies its volume, its layers and its snapshots to the pool of another storage driver, then removes them from the old one. On any fault, and if it is interrupted, the container stays where it was.",
  arguments: [
    nameArgument,
    { name: "storage", kind: "choice", choices: driverNames, summary: "Storage driver of the pool" },
  ],
  options: [],
  examples: [{ command: "berth move web1 project", what: "From an image of its own to the project pool" }],
  seeAlso: ["pool info", "clone"],
  async run(context) {
    requireRoot();
    const { name, storage } = context.arguments;
    await withContainer(name, async (container) => {
      await moveContainer(container, storage, context.progress);
      limitWarnings(container.name, container.config, storage).forEach(warnTo(context));
    });
    context.out.result({ name, storage }, () => `${name}: moved to storage ${storage}`);
  },
});
