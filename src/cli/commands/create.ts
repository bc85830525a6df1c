import { requireRoot } from "../../base/root.ts";
import { driverNames } from "../../config/storage-drivers.ts";
import { createContainer } from "../../container/create.ts";
import { limitWarnings } from "../../container/disk-limits.ts";
import { mountWarnings } from "../../container/mounts.ts";
import { hostConfig, loadConfig } from "../../container/store.ts";
import { settingWarnings } from "../../container/warnings.ts";
import { templateFor } from "../../storage/implied.ts";
import { leaveCard } from "../card.ts";
import { warnTo } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { settingOptions, settingsFrom } from "../settings.ts";
import { startMade } from "../start-made.ts";

export const command = defineCommand({
  name: "create",
  summary: "Create a container from a template",
  description:
    "Makes a container with an identity of its own (user ids, address, MAC, machine id) over a template. A template that berth can build and that is not there yet is built first.\n\nSettings go to the container's config.yaml, where `berth set` and `berth config edit` change them.",
  arguments: [{ name: "name", kind: "string", summary: "Its name: lower case letters, digits and -" }],
  options: [
    {
      name: "template",
      short: "t",
      kind: "template",
      default: "debian-13",
      summary: "Template to make it from",
    },
    { name: "start", kind: "flag", summary: "Start it as well" },
    {
      name: "storage",
      kind: "choice",
      choices: driverNames,
      summary: "Storage driver; the best that works here when absent",
    },
    { name: "privileged", kind: "flag", summary: "No user namespace: root in the guest is root on the host" },
    ...settingOptions,
  ] as const,
  examples: [
    {
      command:
        "berth create web1 --template debian-13 --memory 512M --cpus 1.5 --pids 500 --disk 10G --start",
      what: "Create web1 with limits and start it",
    },
    { command: "berth create box --template busybox --network none", what: "A tiny guest without a network" },
  ],
  seeAlso: ["start", "set", "template build", "rm"],
  async run(context) {
    requireRoot();
    const { name } = context.arguments;
    const template = String(context.options.template ?? "debian-13");
    const storage = driverNames.find((name) => name === context.options.storage);
    await templateFor(template, hostConfig().mirror, context.progress);
    const privileged = context.options.privileged === true;
    const settings = [
      ...(privileged ? [{ path: ["privileged"], value: true }] : []),
      ...settingsFrom(context),
    ];
    const state = await createContainer(name, { template, settings, storage });
    const config = loadConfig(name);
    [
      ...settingWarnings(name, config),
      ...limitWarnings(name, config, state.storage),
      ...mountWarnings({ name, config }, []),
    ].forEach(warnTo(context));
    leaveCard(name);
    const pid = context.options.start === true ? await startMade(name, "created", context) : undefined;
    const address = state.address?.split("/")[0];
    context.out.result(
      {
        name,
        uuid: state.uuid,
        address: address ?? null,
        template: state.template,
        storage: state.storage,
        pid: pid ?? null,
      },
      () =>
        `${name}: ${pid === undefined ? "created" : "created and started"}${address === undefined ? "" : `, address ${address}`}`,
    );
  },
});
