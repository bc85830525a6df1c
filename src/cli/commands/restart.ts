import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { checkStart, startContainer } from "../../container/start.ts";
import { statusOf } from "../../container/status.ts";
import { stopContainer } from "../../container/stop.ts";
import { loadState } from "../../container/store.ts";
import { downOptions, namesArgument, namesOf, warnTo } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "restart",
  summary: "Stop containers and start them again",
  description: "Settings that wait for the next start take effect. A stopped container is started.",
  arguments: [namesArgument],
  options: downOptions,
  examples: [{ command: "berth restart web1", what: "Reboot web1" }],
  seeAlso: ["start", "stop"],
  async run(context) {
    requireRoot();
    const { timeout, kill } = context.options;
    const warn = warnTo(context);
    const names = namesOf(context, (name) => statusOf(name).state !== "stopped");
    return await eachName(
      context,
      names,
      (name) =>
        withContainer(name, async (container) => {
          await checkStart(container);
          if (statusOf(container.name).state !== "stopped")
            await stopContainer(container, {
              kill,
              timeout,
              stayDown: false,
              signal: context.progress.signal,
            });
          return { pid: await startContainer({ ...container, state: loadState(container.name) }, warn) };
        }),
      { render: (name) => (context.quiet ? undefined : `${name}: restarted`) },
    );
  },
});
