/** What `info` says of a container: fields with figures in them, which are the kernel's, or marks of them for a card. */
import { formatDuration, formatSize } from "../base/units.ts";
import type { Mount } from "../config/mounts.ts";
import type { DiskUse } from "../container/disk.ts";
import { describeExit } from "../container/status.ts";
import type { View } from "../container/view.ts";
import { ID_COUNT } from "../launch/plan.ts";
import { swapOf } from "../resources/limits.ts";
import { stateWord } from "./view-data.ts";

/** Texts of figures; those that there are. */
export type Figures = Readonly<
  Partial<
    Record<
      "pid" | "uptime" | "memory" | "swap" | "cpu" | "pids" | "disk" | "inodes" | "inodes-all",
      string | undefined
    >
  >
>;

export type InfoFacts = Pick<View, "name" | "config" | "state"> & {
  readonly stateText: string;
  readonly mounted: readonly string[];
  readonly lastEnd: string | undefined;
  readonly oomKills: number | undefined;
  readonly over: DiskUse["over"];
  readonly snapshots: number;
};

const size = (bytes: number | undefined): string | undefined =>
  bytes === undefined ? undefined : formatSize(bytes);

const count = (value: number | null | undefined): string | undefined =>
  value === undefined || value === null ? undefined : String(value);

/** The figures of a container as it is now. */
export function figuresOf({ status, usage, uptime }: View, disk: DiskUse | undefined): Figures {
  return {
    pid: status.state === "stopped" ? undefined : String(status.init.pid),
    uptime: uptime === undefined ? undefined : formatDuration(uptime),
    memory: size(usage?.memory),
    swap: size(usage?.swap),
    cpu: usage?.cpuSeconds?.toFixed(2),
    pids: count(usage?.pids),
    disk: size(disk?.used),
    inodes: count(disk?.inodesUsed),
    "inodes-all": count(disk?.inodes),
  };
}

export function infoFactsOf(view: View, disk: DiskUse | undefined, snapshots: number): InfoFacts {
  const { name, config, state, status, mounted, usage } = view;
  const running = status.state !== "stopped";
  return {
    name,
    config,
    state,
    stateText:
      running && status.unattended
        ? `${status.state} (unattended: its keeper died, and with it the console; the next command that changes it brings a new one)`
        : stateWord(status, state),
    mounted,
    lastEnd:
      !running && status.exit !== undefined
        ? `${describeExit(status.exit)}, ${new Date(status.exit.time).toISOString()}`
        : undefined,
    oomKills: usage?.oomKills,
    over: disk?.over ?? null,
    snapshots,
  };
}

const limited = (used: string | undefined, limit: string | undefined): string =>
  used === undefined
    ? (limit ?? "no limit")
    : `${used}${limit === undefined ? ", no limit" : ` of ${limit}`}`;

const mountText = ({ source, target, options }: Mount): string =>
  `${source} on ${target}${options.length === 0 ? "" : ` (${options.join(", ")})`}`;

/** Keys and values in their order; without a value there is no such line. */
export function infoFields(
  facts: InfoFacts,
  figures: Figures,
): readonly (readonly [key: string, value: string | undefined])[] {
  const { name, config, state, snapshots, oomKills } = facts;
  return [
    ["name", name],
    ["description", config.description],
    ["ctid", count(config.ctid)],
    ["state", facts.stateText],
    ["mounted at", facts.mounted.join(", ") || undefined],
    ["init", figures.pid === undefined ? undefined : `process ${figures.pid} on the host`],
    ["uptime", figures.uptime],
    ["last end", facts.lastEnd],
    ["address", state.address ?? "none"],
    ["mac", state.address === null ? undefined : state.mac],
    ["template", `${config.template} (${state.template.slice(0, 12)})`],
    ["memory", limited(figures.memory, size(config.memory))],
    ["swap", limited(figures.swap, size(swapOf(config)))],
    [
      "cpu",
      `${figures.cpu === undefined ? "" : `${figures.cpu} s used, `}${config.cpus === undefined ? "no limit" : `${config.cpus} at most`}`,
    ],
    ["pids", limited(figures.pids, count(config.pids))],
    [
      "disk",
      limited(figures.disk, state.storage === "plain" ? "no limit (storage plain)" : size(config.disk)),
    ],
    ["inodes", inodesField(figures, config)],
    ["soft limit", softField(facts)],
    ["mounts", config.mounts.map(mountText).join(", ") || undefined],
    ["out of memory", oomKills ? `${oomKills} killed` : undefined],
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
  ];
}

function inodesField(figures: Figures, config: View["config"]): string | undefined {
  const limit = count(config.inodes) ?? figures["inodes-all"];
  return limit === undefined ? undefined : limited(figures.inodes, limit);
}

/** Since when it is above a soft limit, and what follows. */
function softField({ config, over }: InfoFacts): string | undefined {
  const limits = [size(config["disk-soft"]), count(config["inodes-soft"])];
  const named = limits.flatMap((text, at) =>
    text === undefined ? [] : [at === 0 ? text : `${text} inodes`],
  );
  if (named.length === 0) return undefined;
  if (over === null) return named.join(", ");
  const { since, until } = over;
  const then = until === null ? "it is only told" : `more is refused after ${until}`;
  return `${named.join(", ")}: above it, noticed ${since}; ${then}`;
}
