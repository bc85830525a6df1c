import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { restoreSnapshot } from "../../container/snapshot.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "snapshot restore",
  summary: "Put a container's disk back to a snapshot",
  description:
    "The container must be stopped. What it has now is removed once the snapshot is in its place; take a snapshot of it first to keep it. The snapshot stays. Settings stay as they are; the snapshot has those of its time in `berth snapshot ls --json`.",
  arguments: [nameArgument, { name: "snapshot", kind: "snapshot", summary: "The snapshot" }],
  options: [],
  examples: [{ command: "berth snapshot restore web1 before-upgrade", what: "Back to before" }],
  seeAlso: ["snapshot ls", "clone"],
  async run(context) {
    requireRoot();
    const { name, snapshot } = context.arguments;
    const restored = await withContainer(
      name,
      async (container) => await restoreSnapshot(container, snapshot),
    );
    context.out.result(
      { container: name, snapshot, created: restored.created },
      () => `${name}: as it was at ${restored.created}`,
    );
  },
});
