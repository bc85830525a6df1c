import { requireRoot } from "../../base/root.ts";
import { cloneContainer } from "../../container/clone.ts";
import { withContainer } from "../../container/container.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { settingOptions, settingsFrom } from "../settings.ts";
import { startMade } from "../start-made.ts";

export const command = defineCommand({
  name: "clone",
  summary: "Make a container from another one",
  description:
    "At once, sharing what the source has written: both only store what they change from then on. The clone has user ids, address, MAC, machine id and ssh host keys of its own, the source's settings but for ctid, hostname and a fixed address, and those given here. A running source is copied as `snapshot create` does it.",
  arguments: [nameArgument, { name: "clone", kind: "string", summary: "Name of the clone" }],
  options: [
    { name: "snapshot", kind: "snapshot", summary: "From this snapshot of the source" },
    { name: "start", kind: "flag", summary: "Start it as well" },
    ...settingOptions,
  ] as const,
  examples: [
    { command: "berth clone web1 web2 --start", what: "Another one of the kind" },
    { command: "berth clone web1 look --snapshot monday --network none", what: "Look into a snapshot" },
  ],
  seeAlso: ["create", "snapshot create", "move"],
  async run(context) {
    requireRoot();
    const { name: source, clone } = context.arguments;
    const snapshot = typeof context.options.snapshot === "string" ? context.options.snapshot : undefined;
    const { state, frozen } = await withContainer(
      source,
      async (container) =>
        await cloneContainer(
          container,
          { name: clone, snapshot, settings: settingsFrom(context) },
          context.progress,
        ),
    );
    const pid = context.options.start === true ? await startMade(clone, "cloned", context) : undefined;
    const address = state.address?.split("/")[0];
    context.out.result(
      {
        name: clone,
        source,
        uuid: state.uuid,
        address: address ?? null,
        storage: state.storage,
        pid: pid ?? null,
        frozenMilliseconds: Math.round(frozen * 10) / 10,
      },
      () =>
        `${clone}: cloned from ${source}${pid === undefined ? "" : " and started"}${address === undefined ? "" : `, address ${address}`}`,
    );
  },
});
