import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { statusOf } from "../../container/status.ts";
import { stopContainer } from "../../container/stop.ts";
import { downOptions, namesArgument, namesOf } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "stop",
  summary: "Stop containers",
  description:
    "Asks each guest's init to shut down by the signal it understands, waits, then kills what is left. Nothing of the container is lost.",
  arguments: [namesArgument],
  options: downOptions,
  examples: [
    { command: "berth stop web1", what: "Shut web1 down" },
    {
      command: "berth stop --all --timeout 10s",
      what: "Stop all that run, killing those that take longer than ten seconds",
    },
  ],
  seeAlso: ["start", "restart", "freeze"],
  async run(context) {
    requireRoot();
    const names = namesOf(context, (name) => statusOf(name).state !== "stopped");
    const { timeout, kill } = context.options;
    return await eachName(
      context,
      names,
      (name) =>
        withContainer(
          name,
          (container) =>
            stopContainer(container, { kill, timeout, stayDown: true, signal: context.progress.signal }),
          { lenient: true },
        ),
      {
        parallel: 64,
        render: (name, { killed }) =>
          context.quiet ? undefined : `${name}: stopped${killed ? " (killed)" : ""}`,
      },
    );
  },
});
