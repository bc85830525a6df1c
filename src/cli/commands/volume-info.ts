import { formatSize } from "../../base/units.ts";
import { openVolume } from "../../storage/volumes.ts";
import { defineCommand } from "../framework/command.ts";
import { renderFields } from "../framework/table.ts";
import { volumeArgument } from "../volume-argument.ts";
import { type VolumeView, volumeView } from "../volume-view.ts";

const ofLimit = (used: string | undefined, limit: string | undefined): string =>
  `${used === undefined ? "" : `${used} of `}${limit ?? "no limit"}`;

const size = (bytes: number | null): string | undefined => (bytes === null ? undefined : formatSize(bytes));
const count = (value: number | null): string | undefined => (value === null ? undefined : String(value));

const render = (volume: VolumeView): string =>
  renderFields([
    ["name", volume.name],
    ["storage", volume.storage],
    ["space", ofLimit(size(volume.used), size(volume.size))],
    ["files", ofLimit(count(volume.inodesUsed), count(volume.inodes))],
    [
      "used by",
      volume.users
        .map(({ name, mounts, running }) => {
          if (!mounts) return `${name} (until it stops)`;
          return running ? `${name} (runs with it)` : name;
        })
        .join(", ") || "nobody",
    ],
    ["created", volume.created],
    ["id", volume.id],
  ]);

export const command = defineCommand({
  name: "volume info",
  summary: "Show a volume: its limits, what it holds and who uses it",
  arguments: [volumeArgument],
  options: [],
  examples: [
    { command: "berth volume info pictures", what: "Space, files, and the containers that mount it" },
  ],
  seeAlso: ["volume ls", "volume resize"],
  async run(context) {
    const view = volumeView(await openVolume(context.arguments.volume));
    context.out.result(view, () => render(view));
  },
});
