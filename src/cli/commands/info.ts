import { formatDuration, formatSize } from "../../base/units.ts";
import { mustRun, openContainer } from "../../container/container.ts";
import { type Layer, securityLayers } from "../../container/security.ts";
import { describeExit } from "../../container/status.ts";
import { type DiskUse, diskUse, type View, viewOf } from "../../container/view.ts";
import { ID_COUNT } from "../../launch/plan.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { renderFields, renderTable } from "../framework/table.ts";
import { verdictColours, verdictWords } from "../verdicts.ts";
import { viewData } from "../view-data.ts";

const limited = (used: string | undefined, limit: string | undefined): string =>
  `${used === undefined ? "" : `${used} of `}${limit ?? "no limit"}`;

const size = (bytes: number | undefined): string | undefined =>
  bytes === undefined ? undefined : formatSize(bytes);

const count = (value: number | undefined): string | undefined =>
  value === undefined ? undefined : String(value);

function render({ name, config, state, status, usage, uptime }: View, disk: DiskUse | undefined): string {
  const running = status.state !== "stopped";
  return renderFields([
    ["name", name],
    ["description", config.description],
    ["ctid", count(config.ctid)],
    [
      "state",
      running && status.unattended
        ? `${status.state} (unattended: its keeper died, and with it the console; the next command that changes it brings a new one)`
        : status.state,
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
    const disk = view.status.state === "stopped" ? undefined : diskUse(view.status.init.pid);
    context.out.result({ ...viewData(view), disk: disk ?? null }, () => render(view, disk));
  },
});
