import { closest } from "../../base/closest.ts";
import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import type { ConfigChanges } from "../../config/parse.ts";
import { containerSettings } from "../../config/reference.ts";
import { type ChangeResult, changeContainer } from "../../container/change.ts";
import { type LockedContainer, withContainer } from "../../container/container.ts";
import { loadConfig } from "../../container/store.ts";
import { settingWarnings } from "../../container/warnings.ts";
import { namesArgument, namesOf, warnTo } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";
import { settingOptions, settingsFrom } from "../settings.ts";

export const command = defineCommand({
  name: "set",
  summary: "Change settings of containers",
  description:
    "Limits of memory, processors and processes take effect at once, those of the disk too, but that driver image makes disks smaller of stopped containers only; other settings at the next start, and it says which. Comments in config.yaml stay. On any fault nothing has changed; with several containers that is so for each.",
  arguments: [namesArgument],
  options: [
    ...settingOptions,
    {
      name: "unmount",
      kind: "mount-target",
      repeatable: true,
      summary: "Take the mount with that target away; may be repeated",
    },
    {
      name: "unset",
      kind: "setting",
      repeatable: true,
      summary: "Take a setting away, so that its default holds; may be repeated",
    },
  ] as const,
  examples: [
    { command: "berth set web1 --memory 1G --cpus 2", what: "Give web1 more, at once" },
    { command: "berth set web1 web2 --pids 500", what: "The same for two of them" },
    { command: "berth set web1 --unset memory", what: "No memory limit any more" },
    {
      command: "berth set web1 --mount /srv/data:/data:ro",
      what: "Show it a directory of the host, read-only, also while it runs",
    },
    { command: "berth set web1 --unmount /data", what: "Take that away" },
  ],
  seeAlso: ["config edit", "info"],
  async run(context) {
    requireRoot();
    const { unset, unmount } = context.options;
    const changes = [
      // Taken away first: a mount may move to another target.
      ...listed(unset).map((key) => ({ path: settingPath(key), value: null })),
      ...listed(unmount).map((target) => ({ unmount: target })),
      ...settingsFrom(context),
    ];
    if (changes.length === 0)
      throw new BerthError(
        "usage.bad-argument",
        "there is nothing to set",
        "`berth set --help` lists the settings",
      );
    return await eachName(
      context,
      namesOf(context),
      async (name) => {
        const { result, warnings } = await withContainer(name, (container) => changed(container, changes));
        [...warnings, ...result.warnings].forEach(warnTo(context));
        return result;
      },
      { render: setLine },
    );
  },
});

/** Warnings are of what the change itself has taken away. */
async function changed(container: LockedContainer, changes: ConfigChanges) {
  const { name, config } = container;
  const known = settingWarnings(name, config);
  const result = await changeContainer(container, changes);
  const now = settingWarnings(name, loadConfig(name));
  return { result, warnings: now.filter((text) => !known.includes(text)) };
}

const setLine = (name: string, { atNextStart }: ChangeResult): string =>
  atNextStart.length === 0 ? `${name}: set` : `${name}: set; at the next start: ${atNextStart.join(", ")}`;

const listed = (given: unknown): readonly string[] => (Array.isArray(given) ? given.map(String) : []);

/** A dotted key as a path; environment and sysctl have keys of the user's below them. */
function settingPath(key: string): readonly string[] {
  const known = containerSettings().map((setting) => setting.key);
  const open = ["environment", "sysctl"].find((map) => key.startsWith(`${map}.`));
  if (open !== undefined) return [open, key.slice(open.length + 1)];
  if (known.includes(key) || ["network", "stop", "snapshots", "seccomp"].includes(key)) return key.split(".");
  const nearest = closest(key, known);
  throw new BerthError(
    "usage.bad-argument",
    `there is no setting ${JSON.stringify(key)}`,
    nearest === undefined ? "man berth-config lists the settings" : `did you mean ${nearest}?`,
  );
}
