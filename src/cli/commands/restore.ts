import { requireRoot } from "../../base/root.ts";
import { driverNames } from "../../config/storage-drivers.ts";
import { limitWarnings } from "../../container/disk-limits.ts";
import { mountWarnings } from "../../container/mounts.ts";
import { checkBackup, restoreContainer } from "../../container/restore.ts";
import { loadConfig } from "../../container/store.ts";
import { processTaker } from "../../migrate/checkpoint-file.ts";
import { warnTo } from "../each.ts";
import { type CommandContext, defineCommand } from "../framework/command.ts";
import { visible } from "../framework/escape.ts";
import { renderFields } from "../framework/table.ts";
import { settingOptions, settingsFrom } from "../settings.ts";
import { startMade } from "../start-made.ts";

export const command = defineCommand({
  name: "restore",
  summary: "Make a container of a backup",
  description:
    "Reads the whole file first: one that is cut short or altered is refused before anything is done. The container is a new one with user ids, UUID, MAC, address and machine id of its own, and the settings of the backup, but for those given here and a fixed address; under another name it has neither ctid nor hostname of the old one. With --same-identity it is the same one again.\n\nA whole backup needs no template: all its files count against the container's disk limit. One made with --upper needs the template that it was made over.\n\nA file of `berth checkpoint` also brings what the guest was doing: it is the same container again if that is not here any more, suspended, or running with --start. Where its address is taken, its connections are closed. What such a file says is done as root: restore none that you have not made.",
  arguments: [
    { name: "file", kind: "path", summary: "The backup; - for stdin" },
    {
      name: "name",
      kind: "string",
      optional: true,
      summary: "Name of the container; that of the backup when absent",
    },
  ],
  options: [
    { name: "start", kind: "flag", summary: "Start it as well" },
    {
      name: "same-identity",
      kind: "flag",
      summary: "Keep UUID, MAC, machine id, and the address if it is free",
    },
    {
      name: "without-mounts",
      kind: "flag",
      summary: "Leave out what the backup's settings mount of the host",
    },
    {
      name: "disk-only",
      kind: "flag",
      summary: "Of a checkpoint, leave the processes aside: it boots",
    },
    { name: "check", kind: "flag", summary: "Only see whether the file is whole, and what it holds" },
    {
      name: "storage",
      kind: "choice",
      choices: driverNames,
      summary: "Storage driver; when absent that of the backup, if it works here",
    },
    ...settingOptions,
  ] as const,
  examples: [
    { command: "berth restore web1.tar.zst", what: "web1 as it was, with an address of its own" },
    {
      command: "berth restore web1.tar.zst web1-test --network none --start",
      what: "Look whether a backup is good",
    },
    { command: "berth restore web1.tar.zst --check", what: "Compare it with its checksum" },
  ],
  seeAlso: ["backup", "checkpoint", "create", "template import"],
  async run(context) {
    requireRoot();
    const { file, name } = context.arguments;
    if (context.options.check === true) return await check(file, context);
    const storage = driverNames.find((driver) => driver === context.options.storage);
    const request = {
      ...{ file, name, storage, settings: settingsFrom(context) },
      sameIdentity: context.options["same-identity"] === true,
      withoutMounts: context.options["without-mounts"] === true,
      ...(context.options["disk-only"] === true ? {} : { processes: processTaker(warnTo(context)) }),
    };
    const restored = await restoreContainer(request, context.progress);
    const { state, manifest } = restored;
    if (manifest.privileged)
      context.progress.emit({
        type: "warning",
        text: `${restored.name} is privileged, as it was: root in it is root on this host`,
      });
    const config = loadConfig(restored.name);
    [
      ...limitWarnings(restored.name, config, state.storage),
      ...mountWarnings({ name: restored.name, config }, []),
    ].forEach(warnTo(context));
    const { suspended } = state;
    const pid =
      context.options.start === true ? await startMade(restored.name, "restored", context) : undefined;
    const address = state.address?.split("/")[0];
    context.out.result(
      {
        ...{ name: restored.name, kind: manifest.kind, created: manifest.created, uuid: state.uuid },
        ...{ address: address ?? null, storage: state.storage, pid: pid ?? null },
        suspended: suspended && pid === undefined,
      },
      () =>
        `${restored.name}: restored${outcome(suspended, pid)} as of ${manifest.created}${address === undefined ? "" : `, address ${address}`}`,
    );
    return 0;
  },
});

function outcome(suspended: boolean, pid: number | undefined): string {
  if (pid === undefined) return suspended ? ", suspended," : "";
  return suspended ? " and resumed" : " and started";
}

async function check(
  file: string,
  { out, progress }: Pick<CommandContext, "out" | "progress">,
): Promise<number> {
  const { manifest, sha256 } = await checkBackup(file, progress);
  const { name, kind, created, running, template, berth, processes } = manifest;
  out.result({ file, sha256, manifest }, () =>
    renderFields([
      ["file", `${visible(file)} is whole`],
      ["container", name],
      ["kind", processes ? `${kind}, with processes` : kind],
      ["made", `${created}, by berth ${berth}, ${running ? "while it ran" : "stopped"}`],
      ["template", `${template.name} (${template.digest.slice(0, 12)})`],
      ["sha256", sha256],
    ]),
  );
  return 0;
}
