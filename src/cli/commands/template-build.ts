import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { hostConfig } from "../../container/store.ts";
import { buildTemplate } from "../../storage/build.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "template build",
  summary: "Build a template from a distribution's packages",
  description:
    "Packages come from the distribution's mirror, their signatures are verified with its keyring. A build with the same name replaces what the name points to; containers keep the template they were made from.",
  arguments: [
    {
      name: "distribution",
      kind: "choice",
      choices: ["debian-13", "debian-12", "ubuntu-24.04", "busybox"],
      summary: "What to build",
    },
  ],
  options: [
    {
      name: "name",
      kind: "string",
      value: "NAME",
      summary: "Name of the template; the distribution's when absent",
    },
    {
      name: "include",
      kind: "string",
      value: "PACKAGE",
      repeatable: true,
      summary: "Package to install as well; may be repeated, or several with commas",
    },
    { name: "mirror", kind: "string", value: "URL", summary: "Package mirror; the host's own when absent" },
  ],
  examples: [
    { command: "berth template build debian-13", what: "The usual Debian guest" },
    {
      command: "berth template build debian-13 --name web --include nginx,openssh-server",
      what: "One with a web server and sshd",
    },
  ],
  seeAlso: ["template ls", "create"],
  async run(context) {
    requireRoot();
    const { name, include, mirror } = context.options;
    const chosen = mirror ?? hostConfig().mirror;
    const template = await buildTemplate(
      {
        distribution: context.arguments.distribution,
        replace: true,
        include: include.flatMap((list) => list.split(",")).filter((word) => word !== ""),
        ...(name === undefined ? {} : { name }),
        ...(chosen === undefined ? {} : { mirror: chosen }),
      },
      context.progress,
    );
    const { metadata, digest, names } = template;
    context.out.result(
      { ...metadata, names },
      () =>
        `${name ?? context.arguments.distribution}: built, ${formatSize(metadata.size)}, ${digest.slice(0, 12)}`,
    );
  },
});
