import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { suspendContainer } from "../../checkpoint/suspend.ts";
import { withContainer } from "../../container/container.ts";
import { statusOf } from "../../container/status.ts";
import { namesArgument, namesOf } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";
import { endSessionsOption } from "../sessions-option.ts";

export const command = defineCommand({
  name: "suspend",
  summary: "Suspend containers: processes and connections go to disk",
  description:
    "The guest ends and takes no memory or processor any more; `berth resume` lets it go on where it was, also after a reboot or power cut of the host. Connections last as long as the other side is patient. Whatever stands in the way leaves the guest running; `berth checkable` looks beforehand. `--all` suspends those that run.",
  arguments: [namesArgument],
  options: [endSessionsOption],
  examples: [
    { command: "berth suspend web1", what: "Put web1 aside" },
    { command: "berth suspend --all --end-sessions", what: "All that run, whoever is logged in" },
  ],
  seeAlso: ["resume", "checkable", "freeze"],
  async run(context) {
    requireRoot();
    const names = namesOf(context, (name) => statusOf(name).state === "running");
    const sessions = { end: context.options["end-sessions"] };
    return await eachName(
      context,
      names,
      (name) => withContainer(name, (container) => suspendContainer(container, context.progress, sessions)),
      {
        render: (name, { bytes, processes, frozen }) =>
          context.quiet
            ? undefined
            : `${name}: suspended, ${processes} processes, ${formatSize(bytes)}, frozen for ${frozen} ms`,
      },
    );
  },
});
