import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { exportTemplate } from "../../storage/archive/export.ts";
import { resolveTemplate } from "../../storage/templates.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "template export",
  summary: "Write a template to a tar file",
  description:
    "A POSIX tar with the root file system at its top, owners as numbers and extended attributes as GNU tar writes them: `tar --xattrs --xattrs-include='*' -xpf FILE` unpacks it anywhere. It is not compressed; pipe it where you want it so. A file of that name is replaced, once the new one is whole.",
  arguments: [
    { name: "template", kind: "template", summary: "Its name, or the beginning of its digest" },
    { name: "file", kind: "path", summary: "Where to write it; - for stdout" },
  ],
  options: [],
  examples: [
    { command: "berth template export debian-13 debian-13.tar", what: "Into a file" },
    { command: "berth template export debian-13 - | zstd > debian-13.tar.zst", what: "Compressed" },
  ],
  seeAlso: ["template ls", "template info"],
  async run(context) {
    const { file } = context.arguments;
    const [, ending] = /\.t?(gz|xz|zst|bz2)$/.exec(file) ?? [];
    if (ending !== undefined)
      throw new BerthError(
        "usage.bad-argument",
        `FILE: ${JSON.stringify(file)} promises a compressed file, and the export is a plain tar`,
        `pipe it: berth template export ${context.arguments.template} - | ${{ gz: "gzip", xz: "xz", zst: "zstd", bz2: "bzip2" }[ending]} > FILE`,
      );
    requireRoot();
    const template = resolveTemplate(context.arguments.template);
    await exportTemplate(template, file, context.progress);
    if (file === "-") return;
    const { digest, metadata } = template;
    context.out.result({ digest, file, entries: metadata.entries, size: metadata.size }, () =>
      context.quiet ? undefined : `${context.arguments.template}: written to ${file}`,
    );
  },
});
