import { formatSize } from "../../base/units.ts";
import { containersByTemplate } from "../../container/templates.ts";
import { resolveTemplate } from "../../storage/templates.ts";
import { defineCommand } from "../framework/command.ts";
import { renderFields } from "../framework/table.ts";

export const command = defineCommand({
  name: "template info",
  summary: "Show a template",
  arguments: [{ name: "template", kind: "template", summary: "Its name, or the beginning of its digest" }],
  options: [],
  examples: [{ command: "berth template info debian-13", what: "What it was built from and who uses it" }],
  seeAlso: ["template ls"],
  async run(context) {
    const { digest, rootfs, metadata, names } = resolveTemplate(context.arguments.template);
    const { origin } = metadata;
    const containers = containersByTemplate().get(digest) ?? [];
    context.out.result({ ...metadata, names, digest, rootfs, containers }, () =>
      renderFields([
        ["name", names.join(", ") || `none (was ${metadata.name})`],
        ["digest", digest],
        ["distribution", metadata.distribution],
        ["release", metadata.release],
        ["architecture", metadata.arch],
        ["init", metadata.initKind],
        ["size", `${formatSize(metadata.size)} in ${metadata.entries} files`],
        ["built", metadata.built],
        ["mirror", metadata.mirror || undefined],
        ["origin", origin && `${origin.source === "-" ? "stdin" : origin.source} (${origin.format})`],
        ["its sha256", origin?.sha256],
        ["signed by", origin?.signedBy],
        ["describes itself as", origin?.description],
        ["says it was made", origin?.created],
        ["extra packages", metadata.include.join(", ") || undefined],
        ["containers", containers.join(", ") || "none"],
        ["files", rootfs],
      ]),
    );
  },
});
