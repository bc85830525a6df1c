import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { withContainer } from "../../container/container.ts";
import { userQuotas } from "../../container/user-quota.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { renderTable } from "../framework/table.ts";
import { limitText } from "../user-quota.ts";

export const command = defineCommand({
  name: "quota ls",
  summary: "Show what users or groups inside a container use, and their limits",
  description:
    "Counts what the container changed, not its template. Names are those of the container's own /etc/passwd or /etc/group. `!` marks one that is above a soft limit.",
  arguments: [nameArgument],
  options: [{ name: "group", short: "g", kind: "flag", summary: "Groups instead of users" }] as const,
  examples: [{ command: "berth quota ls web1", what: "Every user that has files or limits" }],
  seeAlso: ["quota set", "info"],
  async run(context) {
    requireRoot();
    const kind = context.options.group ? "group" : "user";
    const quotas = await withContainer(context.arguments.name, (container) => userQuotas(container, kind));
    context.out.result({ kind, quotas }, () =>
      renderTable(
        [
          { title: kind, cell: ({ name }) => name ?? undefined },
          { title: "id", align: "right", cell: ({ id }) => id },
          {
            title: "disk",
            align: "right",
            cell: ({ usedBytes, diskSoft }) =>
              `${formatSize(usedBytes)}${diskSoft !== null && usedBytes > diskSoft ? "!" : ""}`,
          },
          {
            title: "limit",
            align: "right",
            cell: (quota) => limitText(quota.diskSoft, quota.disk, formatSize),
          },
          {
            title: "inodes",
            align: "right",
            cell: ({ usedInodes, inodesSoft }) =>
              `${usedInodes}${inodesSoft !== null && usedInodes > inodesSoft ? "!" : ""}`,
          },
          {
            title: "limit",
            align: "right",
            cell: (quota) => limitText(quota.inodesSoft, quota.inodes, String),
          },
          { title: "refused after", cell: ({ until }) => until ?? undefined },
        ],
        quotas,
      ),
    );
  },
});
