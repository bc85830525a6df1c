import { requireRoot } from "../../base/root.ts";
import { containerNames } from "../../container/name.ts";
import { runSchedule } from "../../container/snapshot-schedule.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "snapshot run",
  summary: "Take the snapshots that are due, remove those that have had their time",
  description:
    "For every container that has `snapshots.every` set: takes one when the last is older than that, and keeps as many as `snapshots.keep` says. Snapshots made with --expires go when their time has come. `npm run install:host` sets up a timer that runs this every ten minutes.",
  arguments: [],
  options: [],
  examples: [
    { command: "berth set web1 --snapshot-every 1d --snapshot-keep 7", what: "One a day, for a week" },
    { command: "berth snapshot run", what: "What the timer does" },
  ],
  seeAlso: ["snapshot create", "set"],
  async run(context) {
    requireRoot();
    return await eachName(
      context,
      containerNames(),
      async (name) => await runSchedule(name, context.progress),
      {
        parallel: 1,
        render: (name, { taken, removed }) =>
          [
            ...taken.map((one) => `${name}: took ${one}`),
            ...removed.map((one) => `${name}: removed ${one}`),
          ].join("\n") || undefined,
      },
    );
  },
});
