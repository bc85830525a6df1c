import { statSync } from "node:fs";
import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { withContainer } from "../../container/container.ts";
import { writeCheckpoint, writeCheckpointAndStop } from "../../migrate/checkpoint-file.ts";
import { compressions } from "../../storage/archive/compress.ts";
import { compressionFor } from "../archive-file.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { visible } from "../framework/escape.ts";
import { endSessionsOption } from "../sessions-option.ts";

export const command = defineCommand({
  name: "checkpoint",
  summary: "Write a container with what it is doing to a file",
  description:
    "A backup that also holds the processes, memory and connections of the running guest, of the same moment: `berth restore` brings it back suspended, or running with --start, here or on another host. The guest stands still while its processes and last changes are written, and then goes on. A suspended container is written as it is. Whatever stands in the way is named by `berth checkable`.\n\nThe file holds the guest's memory, passwords and keys with it, and is readable by root alone. It appears when it is whole; its last member is a checksum of all the others.",
  arguments: [nameArgument, { name: "file", kind: "path", summary: "Where to write it; - for stdout" }],
  options: [
    {
      name: "stop",
      kind: "flag",
      summary: "Let it not go on: it is stopped once the file is whole; written to - it stays suspended",
    },
    endSessionsOption,
    { name: "upper", kind: "flag", summary: "Of the disk only what was written over the template" },
    {
      name: "compress",
      kind: "choice",
      choices: compressions,
      summary: "How to compress; the file's ending says it when absent (.zst, .gz, .xz, .tar)",
    },
    { name: "replace", kind: "flag", summary: "Take the place of a file of that name" },
  ] as const,
  examples: [
    { command: "berth checkpoint web1 web1.tar.zst", what: "To look at elsewhere what it is doing" },
    {
      command: "berth checkpoint web1 - --stop --compress zstd | ssh host2 berth restore - --start",
      what: "To another host, as a migration without a network between them would",
    },
  ],
  seeAlso: ["restore", "backup", "checkable", "migrate"],
  async run(context) {
    requireRoot();
    const { name, file } = context.arguments;
    const { stop, upper, compress, replace } = context.options;
    const kind = upper ? "upper" : "whole";
    const request = { file, replace, kind, compression: compressionFor(file, compress) } as const;
    const write = stop ? writeCheckpointAndStop : writeCheckpoint;
    const { frozen, ...made } = await withContainer(
      name,
      async (container) =>
        await write(container, request, context.progress, { end: context.options["end-sessions"] }),
    );
    if (file === "-") return 0;
    const size = statSync(file).size;
    const milliseconds = Math.round(frozen * 10) / 10;
    context.out.result(
      {
        ...{ file, kind, size, contentBytes: made.bytes, entries: made.entries, leftOut: made.tooDeep },
        ...{ sha256: made.sha256, frozenMilliseconds: milliseconds, stopped: stop },
      },
      () =>
        context.quiet
          ? undefined
          : `${name}: written to ${visible(file)} (${formatSize(size)}); ${stop ? "it is stopped" : `it stood still for ${milliseconds} ms`}`,
    );
    return 0;
  },
});
