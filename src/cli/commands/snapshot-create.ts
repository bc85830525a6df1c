import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { withContainer } from "../../container/container.ts";
import { createSnapshot } from "../../container/snapshot.ts";
import { snapshotNameAt } from "../../container/snapshot-schedule.ts";
import type { SnapshotMemory } from "../../container/snapshots.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { endSessionsOption } from "../sessions-option.ts";

export const command = defineCommand({
  name: "snapshot create",
  summary: "Keep a container's disk as it is now",
  description:
    "A stopped container takes no time and no space: its volume becomes a layer that stays as it is, with an empty volume on top. What a running one has written is copied while it runs; it stands still only while the last changes follow (not at all on btrfs), and what its programs had not written yet is missing, as after a power cut. Snapshots take space of the pool, not of the container's limit.\n\nWith --memory the processes of a running guest are kept with the disk of the same moment, and it goes on afterwards with its connections; `berth snapshot restore` then brings it back running. Whatever stands in the way is named by `berth checkable`.",
  arguments: [
    nameArgument,
    { name: "snapshot", kind: "string", optional: true, summary: "Its name; the time when absent" },
  ],
  options: [
    { name: "description", kind: "string", summary: "A word about what it is for" },
    {
      name: "expires",
      kind: "duration",
      summary: "After this time `berth snapshot run` removes it",
    },
    { name: "memory", kind: "flag", summary: "Keep processes and memory of the running guest as well" },
    endSessionsOption,
  ] as const,
  examples: [
    { command: "berth snapshot create web1 before-upgrade", what: "Before something risky" },
    { command: "berth snapshot create web1 --expires 30d", what: "One that goes by itself" },
    { command: "berth snapshot create web1 warm --memory", what: "With what it is doing, to come back to" },
  ],
  seeAlso: ["snapshot restore", "snapshot ls", "clone", "checkable"],
  async run(context) {
    requireRoot();
    const { name, snapshot = snapshotNameAt(new Date()) } = context.arguments;
    const { description, expires, memory } = context.options;
    const request = {
      name: snapshot,
      description,
      expires: expires === undefined ? undefined : new Date(Date.now() + expires * 1000),
      scheduled: false,
    };
    const sessions = { end: context.options["end-sessions"] };
    if (sessions.end && !memory)
      throw new BerthError(
        "usage.bad-argument",
        "--end-sessions is for --memory",
        "leave it out: a snapshot of the disk has no need of it",
      );
    const made = await withContainer(name, async (container) => {
      if (!memory) return await createSnapshot(container, request, context.progress);
      const { createMemorySnapshot } = await import("../../checkpoint/memory.ts");
      return await createMemorySnapshot(container, request, context.progress, sessions);
    });
    const still = Math.round(made.frozen * 10) / 10;
    context.out.result({ container: name, ...made.snapshot, frozenMilliseconds: still }, () =>
      made.snapshot.running
        ? `${name}: snapshot ${snapshot}${withMemory(made.snapshot.memory)}; the guest stood still for ${still} ms`
        : `${name}: snapshot ${snapshot}`,
    );
  },
});

const withMemory = (memory: SnapshotMemory | null): string =>
  memory === null ? "" : ` with ${memory.processes} processes, ${formatSize(memory.bytes)}`;
