import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { parseCount, parseSize } from "../../base/units.ts";
import { withContainer } from "../../container/container.ts";
import { setUserQuota } from "../../container/user-quota.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { describeQuota, subjectOf } from "../user-quota.ts";

export const command = defineCommand({
  name: "quota set",
  summary: "Limit the disk space of a user or group inside a container",
  description:
    "The limits hold at once and stay with the container's disk, whether it runs or not. A limit that is not given stays as it was. Of the container's own disk limit nothing changes.\n\nThe container must have been created with --quota-users yes.",
  arguments: [nameArgument],
  options: [
    { name: "user", short: "u", kind: "string", value: "NAME|UID", summary: "A user of the container" },
    { name: "group", short: "g", kind: "string", value: "NAME|GID", summary: "A group of the container" },
    {
      name: "disk",
      short: "d",
      kind: "size",
      value: "[SOFT:]SIZE",
      words: ["none"],
      soft: true,
      summary: "Disk space",
    },
    {
      name: "inodes",
      kind: "count",
      value: "[SOFT:]N",
      words: ["none"],
      soft: true,
      summary: "Number of files",
    },
  ] as const,
  examples: [
    { command: "berth quota set web1 --user www-data --disk 1G", what: "At most 1 GiB for www-data" },
    { command: "berth quota set web1 --group 100 --disk 8G:10G --inodes 50k", what: "A soft limit too" },
    { command: "berth quota set web1 --user 1000 --disk none --inodes none", what: "No limits any more" },
  ],
  seeAlso: ["quota ls", "set"],
  async run(context) {
    requireRoot();
    const { user, group } = context.options;
    const { kind, who } = subjectOf(user, group);
    const [disk, inodes] = [context.written("disk"), context.written("inodes")];
    if (disk === undefined && inodes === undefined)
      throw new BerthError(
        "usage.bad-argument",
        "there is nothing to set",
        "--disk SIZE, --inodes N, or both",
      );
    const wanted = { disk: pair(disk, parseSize), inodes: pair(inodes, parseCount) };
    const { name } = context.arguments;
    const quota = await withContainer(name, (container) => setUserQuota(container, kind, who, wanted));
    context.out.result({ container: name, kind, ...quota }, () => `${name}: ${describeQuota(kind, quota)}`);
  },
});

/** "SOFT:HARD", or a hard limit alone, already checked by the option's kind. */
function pair(text: string | undefined, parse: (text: string) => number | undefined) {
  if (text === undefined) return undefined;
  const [first = "", second] = text.split(":");
  const limit = (word: string): number | "none" => parse(word) ?? "none";
  return { soft: second === undefined ? ("none" as const) : limit(first), hard: limit(second ?? first) };
}
