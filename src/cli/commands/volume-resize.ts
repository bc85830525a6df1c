import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { resizeUnused } from "../../container/volume-users.ts";
import { defineCommand } from "../framework/command.ts";
import { volumeArgument } from "../volume-argument.ts";

export const command = defineCommand({
  name: "volume resize",
  summary: "Change the limits of a volume",
  description:
    "With storage driver project at once, also under running guests; with image while no guest that has it runs. Never below what it holds. Cut short, the next command that needs the volume completes it.",
  arguments: [volumeArgument],
  options: [
    { name: "size", short: "s", kind: "size", summary: "Disk space" },
    { name: "inodes", kind: "count", summary: "Files at most; fixed with storage driver image" },
  ] as const,
  examples: [{ command: "berth volume resize pictures --size 100G", what: "Make it larger" }],
  seeAlso: ["volume info"],
  async run(context) {
    requireRoot();
    const { size, inodes } = context.options;
    if (size === undefined && inodes === undefined)
      throw new BerthError("usage.bad-argument", "what shall change?", "--size SIZE or --inodes N");
    const record = await resizeUnused(context.arguments.volume, {
      ...(size === undefined ? {} : { bytes: size }),
      ...(inodes === undefined ? {} : { inodes }),
    });
    context.out.result(record, () => `${record.name}: ${formatSize(record.bytes ?? 0)}`);
  },
});
