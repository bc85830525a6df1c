import { formatDuration, formatSize } from "../../base/units.ts";
import { openContainer } from "../../container/container.ts";
import { listSnapshots } from "../../container/snapshots.ts";
import { describeExit } from "../../container/status.ts";
import { type DiskUse, diskUse, type View, viewOf } from "../../container/view.ts";
import { ID_COUNT } from "../../launch/plan.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { renderFields } from "../framework/table.ts";
import { stateWord, viewData } from "../view-data.ts";

const limited = (used: string | undefined, limit: string | undefined): string =>
  `${used === undefined ? "" : `${used} of `}${limit ?? "no limit"}`;

const size = (bytes: number | undefined): string | undefined =>
  bytes === undefined ? undefined : formatSize(bytes);

const count = (value: number | undefined): string | undefined =>
  value === undefined ? undefined : String(value);

function render(
  { name, config, state, status, usage, uptime }: View,
  disk: DiskUse | undefined,
  snapshots: number,
): string {
  const running = status.state !== "stopped";
  return renderFields([
    ["name", name],
    ["description", config.description],
    ["ctid", count(config.ctid)],
    [
      "state",
      running && status.unattended
        ? `${status.state} (unattended: its keeper died, and with it the console; the next command that changes it brings a new one)`
        : stateWord(status, state),
    ],
    ["init", running ? `process ${status.init.pid} on the host` : undefined],
    ["uptime", uptime === undefined ? undefined : formatDuration(uptime)],
    [
      "last end",
      !running && status.exit !== undefined
        ? `${describeExit(status.exit)}, ${new Date(status.exit.time).toISOString()}`
        : undefined,
    ],
    ["address", state.address ?? "none"],
    ["mac", state.address === null ? undefined : state.mac],
    ["template", `${config.template} (${state.template.slice(0, 12)})`],
    ["memory", limited(size(usage?.memory), size(config.memory))],
    [
      "swap",
      limited(
        size(usage?.swap),
        config.swap === undefined && config.memory !== undefined ? "0" : size(config.swap),
      ),
    ],
    [
      "cpu",
      `${usage?.cpuSeconds === undefined ? "" : `${usage.cpuSeconds.toFixed(2)} s used, `}${config.cpus === undefined ? "no limit" : `${config.cpus} at most`}`,
    ],
    ["pids", limited(count(usage?.pids), count(config.pids))],
    [
      "disk",
      limited(size(disk?.used), state.storage === "plain" ? "no limit (storage plain)" : size(config.disk)),
    ],
    ["out of memory", usage?.oomKills ? `${usage.oomKills} killed` : undefined],
    ["storage", state.storage],
    ["layers", state.layers.length === 0 ? undefined : String(state.layers.length)],
    ["snapshots", snapshots === 0 ? undefined : `${snapshots} (berth snapshot ls ${name})`],
    [
      "user ids",
      config.privileged
        ? "the host's own: root in it is root on this host"
        : `${state.baseUid}-${state.baseUid + ID_COUNT - 1} on the host`,
    ],
    ["created", state.created],
    ["uuid", state.uuid],
  ]);
}

export const command = defineCommand({
  name: "info",
  summary: "Show a container in full",
  arguments: [nameArgument],
  options: [],
  examples: [
    { command: "berth info web1", what: "State, limits and what it uses now" },
    { command: "berth info web1 --json", what: "The same for a script" },
  ],
  seeAlso: ["ls", "config show", "log"],
  async run(context) {
    const { name } = await openContainer(context.arguments.name);
    const view = viewOf(name);
    const disk = view.status.state === "stopped" ? undefined : diskUse(view.status.init.pid);
    const snapshots = listSnapshots(name).length;
    context.out.result({ ...viewData(view), disk: disk ?? null, snapshots }, () =>
      render(view, disk, snapshots),
    );
  },
});
