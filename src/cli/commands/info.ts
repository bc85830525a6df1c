import { formatDuration, formatSize } from "../../base/units.ts";
import type { Mount } from "../../config/mounts.ts";
import { mustRun, openContainer } from "../../container/container.ts";
import { type DiskUse, diskOf } from "../../container/disk.ts";
import { type Layer, securityLayers } from "../../container/security.ts";
import { listSnapshots } from "../../container/snapshots.ts";
import { describeExit } from "../../container/status.ts";
import { type View, viewOf, watchDisks } from "../../container/view.ts";
import { ID_COUNT } from "../../launch/plan.ts";
import { swapOf } from "../../resources/limits.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { renderFields, renderTable } from "../framework/table.ts";
import { verdictColours, verdictWords } from "../verdicts.ts";
import { stateWord, viewData } from "../view-data.ts";

const limited = (used: string | undefined, limit: string | undefined): string =>
  used === undefined
    ? (limit ?? "no limit")
    : `${used}${limit === undefined ? ", no limit" : ` of ${limit}`}`;

const size = (bytes: number | undefined): string | undefined =>
  bytes === undefined ? undefined : formatSize(bytes);

const count = (value: number | undefined): string | undefined =>
  value === undefined ? undefined : String(value);

const mountText = ({ source, target, options }: Mount): string =>
  `${source} on ${target}${options.length === 0 ? "" : ` (${options.join(", ")})`}`;

function render(
  { name, config, state, status, usage, mounted, uptime }: View,
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
    ["mounted at", mounted.join(", ") || undefined],
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
    ["swap", limited(size(usage?.swap), size(swapOf(config)))],
    [
      "cpu",
      `${usage?.cpuSeconds === undefined ? "" : `${usage.cpuSeconds.toFixed(2)} s used, `}${config.cpus === undefined ? "no limit" : `${config.cpus} at most`}`,
    ],
    ["pids", limited(count(usage?.pids), count(config.pids))],
    [
      "disk",
      limited(size(disk?.used), state.storage === "plain" ? "no limit (storage plain)" : size(config.disk)),
    ],
    ["inodes", inodesField(disk, config)],
    ["soft limit", softField(disk, config)],
    ["mounts", config.mounts.map(mountText).join(", ") || undefined],
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

function inodesField(disk: DiskUse | undefined, config: View["config"]): string | undefined {
  const limit = config.inodes ?? disk?.inodes ?? undefined;
  return limit === undefined ? undefined : limited(count(disk?.inodesUsed ?? undefined), count(limit));
}

/** Since when it is above a soft limit, and what follows. */
function softField(disk: DiskUse | undefined, config: View["config"]): string | undefined {
  const limits = [size(config["disk-soft"]), count(config["inodes-soft"])];
  const named = limits.flatMap((text, at) =>
    text === undefined ? [] : [at === 0 ? text : `${text} inodes`],
  );
  if (named.length === 0) return undefined;
  if (!disk?.over) return named.join(", ");
  const { since, until } = disk.over;
  const then = until === null ? "it is only told" : `more is refused after ${until}`;
  return `${named.join(", ")}: above it, noticed ${since}; ${then}`;
}

const renderLayers = (layers: readonly Layer[]): string =>
  renderTable(
    [
      { title: "layer", cell: ({ layer }) => layer },
      {
        title: "verdict",
        cell: ({ verdict }) => verdictWords[verdict],
        colour: ({ verdict }) => verdictColours[verdict],
      },
      { title: "what", shrinks: true, cell: ({ detail }) => detail },
    ],
    layers,
  );

export const command = defineCommand({
  name: "info",
  summary: "Show a container in full",
  arguments: [nameArgument],
  options: [
    {
      name: "security",
      kind: "flag",
      summary: "Show the layers that hold it instead, as the kernel has them now",
    },
  ] as const,
  examples: [
    { command: "berth info web1", what: "State, limits and what it uses now" },
    { command: "berth info web1 --json", what: "The same for a script" },
    { command: "berth info web1 --security", what: "What keeps it from the host, layer by layer" },
  ],
  seeAlso: ["ls", "config show", "log"],
  async run(context) {
    const container = await openContainer(context.arguments.name);
    const { name } = container;
    if (context.options.security === true) {
      const layers = securityLayers(container, mustRun(name).init.pid);
      context.out.result({ name, layers }, () => renderLayers(layers));
      return;
    }
    const view = viewOf(name);
    watchDisks();
    const disk = view.disk ?? diskOf(view);
    const snapshots = listSnapshots(name).length;
    context.out.result({ ...viewData(view), disk: disk ?? null, snapshots }, () =>
      render(view, disk, snapshots),
    );
  },
});
