import { asBerthError, BerthError } from "../../base/errors.ts";
import type { Progress } from "../../base/progress.ts";
import { requireRoot } from "../../base/root.ts";
import { type MigrateRequest, migrateContainer } from "../../migrate/source.ts";
import { namesArgument, namesOf } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";
import { migrateOptions, movedLine, mustHaveStarted, requestOf } from "../migrate-options.ts";

/** How many move at once unless told: each dumps and restores processes, which takes a processor on either side. */
const JOBS = 2;

export const command = defineCommand({
  name: "evacuate",
  summary: "Move several containers to another host",
  description:
    "As `berth migrate` does each: what runs goes on there. All are looked at first, on both sides; when one of them cannot move, each that cannot is named with what to do about it, and none is moved. Then some move at once, and what fails stays here as it was and does not stop the others: run it again for those.",
  arguments: [namesArgument],
  options: [
    {
      name: "to",
      kind: "string",
      value: "HOST",
      summary: "The other host as ssh knows it: [ssh://][USER@]HOST[:PORT]",
    },
    { name: "jobs", short: "j", kind: "count", default: String(JOBS), summary: "How many move at once" },
    ...migrateOptions,
  ] as const,
  examples: [
    { command: "berth evacuate --all --to root@host2 --dry-run", what: "Who could not move, and why" },
    { command: "berth evacuate --all --to root@host2", what: "Before this host is switched off" },
    { command: "berth evacuate web1 db1 --to host2 --jobs 1", what: "These two, one after the other" },
  ],
  seeAlso: ["migrate", "checkable"],
  async run(context) {
    requireRoot();
    const { to, jobs: parallel = JOBS } = context.options;
    if (to === undefined) throw usage("--to is missing", "name the host to move to: --to HOST");
    if (parallel < 1) throw usage("--jobs 0 moves nothing", "give 1 or more");
    const names = namesOf(context);
    const request = requestOf(to, context.options);
    const move = async (name: string, dryRun: boolean) => {
      const result = await migrateContainer(name, { ...request, dryRun }, labelled(context.progress, name));
      mustHaveStarted(result);
      return result;
    };
    if (!request.dryRun)
      await lookAtAll(
        names,
        parallel,
        request,
        context.progress.signal,
        async (name) => void (await move(name, true)),
      );
    return await eachName(context, names, async (name) => await move(name, request.dryRun), {
      parallel,
      render: (name, result) => {
        if (request.dryRun) return `${name}: can move to ${to}`;
        return context.quiet ? undefined : movedLine(name, result);
      },
    });
  },
});

const usage = (message: string, hint: string): BerthError =>
  new BerthError("usage.bad-argument", message, hint);

/** Several move at once: each step says whose it is. */
const labelled = ({ emit, signal }: Progress, name: string): Progress => ({
  signal,
  emit: (event) => emit("label" in event ? { ...event, label: `${name}: ${event.label}` } : event),
});

/** Throws migrate.refused naming each that cannot move. */
async function lookAtAll(
  names: readonly string[],
  parallel: number,
  { to }: MigrateRequest,
  signal: AbortSignal,
  look: (name: string) => Promise<void>,
): Promise<void> {
  const faults = new Map<string, BerthError>();
  for (let at = 0; at < names.length; at += parallel) {
    signal.throwIfAborted();
    await Promise.all(
      names.slice(at, at + parallel).map(async (name) => {
        await look(name).catch((error: unknown) => void faults.set(name, asBerthError(error)));
      }),
    );
  }
  signal.throwIfAborted();
  if (faults.size === 0) return;
  throw new BerthError(
    "migrate.refused",
    `${faults.size} of ${names.length} cannot move to ${to.host}: ${[...faults.keys()].join(", ")}; none was moved`,
    [...faults].map(([name, { message, hint }]) => `${name}: ${message}\n${indented(hint)}`).join("\n"),
  );
}

const indented = (text: string): string =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => `  ${line}`)
    .join("\n");
