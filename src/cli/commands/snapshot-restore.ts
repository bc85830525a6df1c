import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { restoreSnapshot } from "../../container/snapshot.ts";
import { findSnapshot } from "../../container/snapshots.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "snapshot restore",
  summary: "Put a container's disk back to a snapshot",
  description:
    "The container must be stopped. What it has now is removed once the snapshot is in its place; take a snapshot of it first to keep it. The snapshot stays. One taken with --memory comes back running, where it was; if it cannot, the container is as it was before. Settings stay as they are; the snapshot has those of its time in `berth snapshot ls --json`.",
  arguments: [nameArgument, { name: "snapshot", kind: "snapshot", summary: "The snapshot" }],
  options: [
    { name: "disk-only", kind: "flag", summary: "Leave the processes that it kept aside; it stays stopped" },
  ],
  examples: [
    { command: "berth snapshot restore web1 before-upgrade", what: "Back to before" },
    {
      command: "berth snapshot restore web1 warm --disk-only",
      what: "The disk of one with memory, to boot it",
    },
  ],
  seeAlso: ["snapshot ls", "clone"],
  async run(context) {
    requireRoot();
    const { name, snapshot } = context.arguments;
    const { created, running } = await withContainer(name, async (container) => {
      const { memory } = findSnapshot(container.name, snapshot);
      if (memory === null || context.options["disk-only"])
        return { ...(await restoreSnapshot(container, snapshot)), running: false };
      const { restoreMemorySnapshot } = await import("../../checkpoint/memory.ts");
      return { ...(await restoreMemorySnapshot(container, snapshot, context.progress)), running: true };
    });
    context.out.result(
      { container: name, snapshot, created, running },
      () => `${name}: as it was at ${created}${running ? ", and running" : ""}`,
    );
  },
});
