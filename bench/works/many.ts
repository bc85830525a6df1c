/** What grows with the number of containers: create and start one by one, ls, memory and processes of those that run. */
import { readdirSync, readFileSync } from "node:fs";
import { listIfExists } from "../../src/base/files.ts";
import { until } from "../../test/support/world.ts";
import { type Bench, labelOf, limits } from "../bench.ts";

type Point = readonly [x: number, y: number];

/** Growth of each work, for the plots: name of the line to its points. */
export type Growth = Map<string, Point[]>;

type Side = {
  readonly name: "berth" | "lxc";
  readonly create: (name: string) => number;
  readonly start: (name: string) => number;
  readonly list: () => number;
  readonly remove: (name: string) => unknown;
  /** Names of the series. */
  readonly as: { readonly list: string; readonly start: string };
};

const sides = ({ berth, lxc }: Bench): readonly Side[] => [
  {
    name: "berth",
    create: (name) => berth("create", name, "-t", "busybox", "--storage", "plain", ...memory),
    start: (name) => berth("start", name),
    list: () => berth("ls"),
    remove: (name) => berth("rm", "--force", name),
    as: { list: "berth ls", start: "berth start all" },
  },
  {
    name: "lxc",
    create: (name) => lxc.run("copy", "-n", "busybox", "-N", name, "-s", "-B", "overlay"),
    start: (name) => lxc.run("start", "-n", name, "-d"),
    list: () => lxc.run("ls", "-f"),
    remove: (name) => lxc.run("destroy", "-f", "-n", name),
    as: { list: "lxc-ls -f", start: "lxc-start all" },
  },
];

const memory = ["--memory", limits.memory] as const;

/**
 * Fills the rows of each population. Sides come one after the other: a thousand guests of each would not fit. One that
 * fails takes its own rows with it.
 */
export async function many(bench: Bench, growth: Growth): Promise<void> {
  await until("links of earlier works to go", () => linksOf(bench) === 0, MOST_TO_GO);
  // berth's bridge goes with the last container; the peers' guests want it too.
  bench.berth("create", "other", "-t", "busybox");
  bench.berth("start", "other");
  try {
    for (const side of sides(bench)) {
      const links = linksOf(bench);
      try {
        await populate(bench, side, growth);
      } catch (error) {
        markAbsent(bench, side, error instanceof Error ? error.message : String(error));
      }
      await until(`links of ${side.name}'s guests to go`, () => linksOf(bench) <= links, MOST_TO_GO);
    }
  } finally {
    bench.berth("rm", "--force", "other");
  }
}

/** Network namespaces, and with them the links on the bridge, of which it takes 1023, go some time after their guests: milliseconds. */
const MOST_TO_GO = 300_000;

const linksOf = ({ world }: Bench): number => listIfExists(`/sys/class/net/${world.at.bridge}/brif`).length;

/** Of what a side that failed has not measured. */
function markAbsent({ samples, sizes, say }: Bench, side: Side, why: string): void {
  say(`${side.name} failed: ${why}`);
  for (const label of sizes.populations.map(labelOf))
    for (const series of [side.as.list, side.as.start, `${side.name} memory`, `${side.name} processes`])
      samples.absent.set(`${series} ${label}`, why.slice(0, 500));
}

async function populate(bench: Bench, side: Side, growth: Growth): Promise<void> {
  const { samples, sizes, say } = bench;
  const most = Math.max(...sizes.populations.map(({ all }) => all));
  const step = Math.max(1, Math.floor(most / 10));
  const idle = { memory: await memoryInUse(), processes: processCount() };
  const names: string[] = [];
  let started = 0;
  let starting = 0;
  try {
    for (const { all, running } of [...sizes.populations].sort(
      (a, b) => a.all - b.all || a.running - b.running,
    )) {
      say(`${side.name}: ${all} containers, ${running} running`);
      for (let at = names.length; at < all; at += 1) {
        names.push(`many-${at}`);
        draw(growth, `create ${side.name}`, at, side.create(`many-${at}`));
        if (at % step === 0) draw(growth, `ls ${side.name}`, at, side.list());
      }
      for (; started < running; started += 1) {
        const took = side.start(`many-${started}`);
        starting += took;
        draw(growth, `start ${side.name}`, started, took);
      }
      const label = labelOf({ all, running });
      samples.add(`${side.as.start} ${label}`, starting);
      samples.add(`${side.name} processes ${label}`, processCount() - idle.processes);
      samples.add(`${side.name} memory ${label}`, (await memoryInUse()) - idle.memory);
      for (let round = 0; round < 3; round += 1) samples.add(`${side.as.list} ${label}`, side.list());
    }
  } finally {
    for (const name of names) removeIfThere(side, name, say);
  }
}

/** One that could not be made cannot be removed, and must not keep the others. */
function removeIfThere(side: Side, name: string, say: Bench["say"]): void {
  try {
    side.remove(name);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
}

function draw(growth: Growth, line: string, x: number, y: number): void {
  const points = growth.get(line);
  if (points === undefined) growth.set(line, [[x, y]]);
  else points.push([x, y]);
}

/** Memory that is not available to others, in KiB, once it has settled. */
async function memoryInUse(): Promise<number> {
  await Bun.sleep(2000);
  const text = readFileSync("/proc/meminfo", "utf8");
  const of = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(text)?.[1]);
  return of("MemTotal") - of("MemAvailable");
}

const processCount = (): number => readdirSync("/proc").filter((name) => /^\d+$/.test(name)).length;
