import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { driverNames } from "../../config/storage-drivers.ts";
import { hostConfig } from "../../container/store.ts";
import { chooseDriver, storageDriver } from "../../storage/drivers.ts";
import { createVolume } from "../../storage/volumes.ts";
import { defineCommand } from "../framework/command.ts";

const DEFAULT_SIZE = 10 * 2 ** 30;

export const command = defineCommand({
  name: "volume create",
  summary: "Make a volume: space of its own that containers mount, and that outlives them",
  description:
    "A storage driver makes it, as it makes the disks of containers, and holds its limit. `berth set web1 --mount NAME:/var/lib/data` mounts it; several containers may have it at the same time. User ids in it are the guests' own, so that it can go from one container to another.",
  arguments: [{ name: "volume", kind: "string", summary: "Its name: lower case letters, digits and -" }],
  options: [
    { name: "size", short: "s", kind: "size", default: "10G", summary: "Disk space" },
    { name: "inodes", kind: "count", summary: "Files at most" },
    {
      name: "storage",
      kind: "choice",
      choices: driverNames,
      summary: "Storage driver; the best that works here when absent",
    },
  ] as const,
  examples: [
    { command: "berth volume create pictures --size 50G", what: "Make a volume of 50 GiB" },
    { command: "berth set web1 --mount pictures:/srv/pictures", what: "Mount it in web1" },
  ],
  seeAlso: ["volume ls", "volume rm", "set"],
  async run(context) {
    requireRoot();
    const { size, inodes, storage } = context.options;
    const record = await createVolume({
      name: context.arguments.volume,
      storage: storage ?? hostConfig().storage ?? (await chooseDriver()),
      bytes: size ?? DEFAULT_SIZE,
      inodes,
    });
    if (!storageDriver(record.storage).enforcesQuota)
      context.progress.emit({
        type: "warning",
        text: `${record.name} has no limit: storage driver ${record.storage} cannot keep one`,
      });
    context.out.result(
      record,
      () => `${record.name}: created, ${formatSize(record.bytes ?? 0)} (${record.storage})`,
    );
  },
});
