import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { driverNames } from "../../config/storage-drivers.ts";
import { type Resolution, resolveMigration } from "../../migrate/resolve.ts";
import { type MigrateResult, migrateContainer } from "../../migrate/source.ts";
import { nameArgument } from "../each.ts";
import { type CommandContext, defineCommand } from "../framework/command.ts";
import { renderFields } from "../framework/table.ts";
import { inSeconds, migrateOptions, movedLine, mustHaveStarted, requestOf } from "../migrate-options.ts";

export const command = defineCommand({
  name: "migrate",
  summary: "Move a container to another host",
  description:
    "Over ssh, to a host that has berth too. Both sides are looked at first, and all that stands in the way is named at once. The container's files, its frozen layers, the limits of its users, its settings, UUID, MAC and address go along; its template where it is missing. One that runs goes on there with its processes, memory and connections, if it can be checkpointed (`berth checkable`); with --offline it is stopped for it, and started there.\n\nUntil the other host has noted that it has the container, it is here as it was, whatever fails, also when berth is killed or the line is cut; from then on it is there and removed here. Where the line is cut at the very switch it stands still on both hosts, and --resolve finds out.",
  arguments: [
    nameArgument,
    {
      name: "host",
      kind: "string",
      optional: true,
      summary: "The other host as ssh knows it: [ssh://][USER@]HOST[:PORT]",
    },
  ],
  options: [
    ...migrateOptions,
    { name: "name", kind: "string", value: "NAME", summary: "Its name there" },
    {
      name: "storage",
      kind: "choice",
      choices: driverNames,
      summary: "Storage driver there; when absent the one it has, if that works there",
    },
    { name: "keep", kind: "flag", summary: "Keep it here too, stopped; implies --offline" },
    { name: "resolve", kind: "flag", summary: "Settle a migration that was cut at the switch" },
    {
      name: "is",
      kind: "choice",
      choices: ["here", "there"],
      summary: "With --resolve, when the other host is gone for good: where the container is to be",
    },
  ] as const,
  examples: [
    { command: "berth migrate web1 root@host2", what: "To host2; it runs there if it ran here" },
    { command: "berth migrate web1 host2 --dry-run", what: "See what stands in the way" },
    { command: "berth migrate web1 host2 --keep --name web1-copy", what: "Leave it here too, stopped" },
    {
      command: "berth migrate web1 host2 --bwlimit 20M --timeout 5s",
      what: "Leave room on the line; stay here when it would stand still for longer",
    },
    {
      command: "berth migrate web1 host2 --max-downtime 1s",
      what: "What is left of its memory when it stands still may take a second",
    },
    { command: "berth migrate web1 --resolve", what: "After the line was cut at the switch" },
  ],
  seeAlso: ["evacuate", "backup", "move", "check"],
  async run(context) {
    requireRoot();
    const { name, host } = context.arguments;
    if (context.options.resolve) return await settle(name, context);
    if (context.options.is !== undefined) throw usage("--is belongs to --resolve", "leave it out");
    if (host === undefined) throw usage("HOST is missing", "name the host to move to");
    const { storage, keep } = context.options;
    const request = { ...requestOf(host, context.options), name: context.options.name, storage, keep };
    const result = await migrateContainer(name, request, context.progress);
    context.out.result(result, () => report(name, result, context.options["dry-run"]));
    mustHaveStarted(result);
    return 0;
  },
});

const usage = (message: string, hint: string): BerthError =>
  new BerthError("usage.bad-argument", message, hint);

function report(name: string, result: MigrateResult, dryRun: boolean): string {
  if (dryRun) return `${name}: can move to ${result.host}`;
  const stages = result.stages.map(({ stage, milliseconds }) => [stage, inSeconds(milliseconds)] as const);
  return [renderFields(stages), movedLine(name, result)].join("\n");
}

async function settle(
  name: string,
  {
    options,
    out,
  }: { readonly options: { readonly is: "here" | "there" | undefined } } & Pick<CommandContext, "out">,
): Promise<number> {
  const resolution = await resolveMigration(name, options.is);
  out.result(resolution, () => words(resolution));
  return 0;
}

const words = ({ name, side, has }: Resolution): string =>
  has === "here"
    ? `${name}: is here${side === "source" ? ", as it was" : " now"}`
    : `${name}: is ${side === "source" ? "on the other host now" : "with the host that it came from; what was here is removed"}`;
