import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { inheritedLock } from "../../container/lock.ts";
import { restartByKeeper } from "../../container/reboot.ts";
import { startContainer } from "../../container/start.ts";
import { statusOf } from "../../container/status.ts";
import { namesArgument, namesOf, warnTo } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "start",
  summary: "Start containers",
  description:
    "Returns when each guest's init runs; the guest then boots on. `--all` starts those that are stopped.",
  arguments: [namesArgument],
  options: [
    {
      name: "by-keeper",
      kind: "flag",
      summary: "The guest rebooted itself: said by its keeper, never by you",
    },
  ],
  examples: [
    { command: "berth start web1 db1", what: "Start two" },
    { command: "berth start --all", what: "Start all that are stopped" },
  ],
  seeAlso: ["stop", "restart", "log", "console"],
  async run(context) {
    requireRoot();
    const names = namesOf(context, (name) => statusOf(name).state === "stopped");
    if (context.options["by-keeper"]) return await byKeeper(names[0] ?? "");
    return await eachName(
      context,
      names,
      async (name) => ({
        pid: await withContainer(name, (container) => startContainer(container, warnTo(context))),
      }),
      {
        render: (name) => (context.quiet ? undefined : `${name}: started`),
      },
    );
  },
});

/** The keeper holds the container's lock and passes it on; nobody else may come in between. */
async function byKeeper(name: string): Promise<number> {
  const lock = inheritedLock(name);
  if (lock === undefined)
    throw new BerthError(
      "usage.bad-argument",
      "--by-keeper is said by a keeper alone",
      `berth start ${name}`,
    );
  await restartByKeeper(lock);
  return 0;
}
