import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { removeSnapshots } from "../../container/snapshot.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "snapshot rm",
  summary: "Remove snapshots",
  description:
    "Space that only they took is free at once. A layer that the container or a clone lies on stays with them.",
  arguments: [
    nameArgument,
    { name: "snapshot", kind: "snapshot", variadic: true, summary: "Snapshot; several may be named" },
  ],
  options: [],
  examples: [{ command: "berth snapshot rm web1 before-upgrade", what: "It is no longer needed" }],
  seeAlso: ["snapshot ls"],
  async run(context) {
    requireRoot();
    const { name, snapshot } = context.arguments;
    await withContainer(name, async (container) => await removeSnapshots(container, snapshot));
    context.out.result(
      { container: name, removed: snapshot },
      () => `${name}: removed ${snapshot.join(", ")}`,
    );
  },
});
