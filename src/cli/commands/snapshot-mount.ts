import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { mountSnapshot } from "../../container/snapshot.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "snapshot mount",
  summary: "Mount a snapshot on the host, read-only",
  description:
    "To look into it, or to take single files out of it, while the container runs on. As with `berth mount`, no symbolic link in it is followed. `berth umount NAME` ends it; a snapshot that is mounted is not removed.",
  arguments: [
    nameArgument,
    { name: "snapshot", kind: "snapshot", summary: "The snapshot" },
    { name: "dir", kind: "path", optional: true, summary: "An empty directory to mount it on" },
  ],
  options: [],
  examples: [{ command: "berth snapshot mount web1 monday", what: "Mount it, and print where" }],
  seeAlso: ["umount", "mount", "snapshot restore"],
  async run(context) {
    requireRoot();
    const { name, snapshot, dir } = context.arguments;
    const path = await withContainer(
      name,
      async (container) => await mountSnapshot(container, snapshot, dir),
    );
    context.out.result({ container: name, snapshot, path }, () => path);
  },
});
