import { closest } from "../../base/closest.ts";
import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { containerSettings } from "../../config/reference.ts";
import { changeContainer } from "../../container/change.ts";
import { withContainer } from "../../container/container.ts";
import { loadConfig } from "../../container/store.ts";
import { settingWarnings } from "../../container/warnings.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { settingOptions, settingsFrom } from "../settings.ts";

export const command = defineCommand({
  name: "set",
  summary: "Change settings of a container",
  description:
    "Limits of memory, processors and processes take effect at once, those of the disk too with storage driver project; other settings at the next start, and it says which. Comments in config.yaml stay. On any fault nothing has changed.",
  arguments: [nameArgument],
  options: [
    ...settingOptions,
    {
      name: "unset",
      kind: "string",
      value: "KEY",
      repeatable: true,
      summary: "Take a setting away, so that its default holds; may be repeated",
    },
  ] as const,
  examples: [
    { command: "berth set web1 --memory 1G --cpus 2", what: "Give web1 more, at once" },
    { command: "berth set web1 --unset memory", what: "No memory limit any more" },
  ],
  seeAlso: ["config edit", "info"],
  async run(context) {
    requireRoot();
    const unset = Array.isArray(context.options.unset) ? context.options.unset.map(String) : [];
    const changes = [
      ...settingsFrom(context),
      ...unset.map((key) => ({ path: settingPath(key), value: null })),
    ];
    if (changes.length === 0)
      throw new BerthError(
        "usage.bad-argument",
        "there is nothing to set",
        "`berth set --help` lists the settings",
      );
    const { name } = context.arguments;
    const { result, warnings } = await withContainer(name, async (container) => {
      const known = settingWarnings(name, container.config);
      const result = await changeContainer(container, changes);
      const now = settingWarnings(name, loadConfig(container.name));
      return { result, warnings: now.filter((text) => !known.includes(text)) };
    });
    for (const text of warnings) context.progress.emit({ type: "warning", text });
    context.out.result({ name, ...result }, () =>
      result.atNextStart.length === 0
        ? `${name}: set`
        : `${name}: set; at the next start: ${result.atNextStart.join(", ")}`,
    );
  },
});

/** A dotted key as a path; environment and sysctl have keys of the user's below them. */
function settingPath(key: string): readonly string[] {
  const known = containerSettings().map((setting) => setting.key);
  const open = ["environment", "sysctl"].find((map) => key.startsWith(`${map}.`));
  if (open !== undefined) return [open, key.slice(open.length + 1)];
  if (known.includes(key) || ["network", "stop", "seccomp"].includes(key)) return key.split(".");
  const nearest = closest(key, known);
  throw new BerthError(
    "usage.bad-argument",
    `there is no setting ${JSON.stringify(key)}`,
    nearest === undefined ? "man berth-config lists the settings" : `did you mean ${nearest}?`,
  );
}
