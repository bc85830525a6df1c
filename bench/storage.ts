/**
 * npm run bench:storage [-- --quick]: what the disks of containers cost. Writes bench/results/storage.json and, in a full
 * run, docs/plots/storage-*.svg; prints a table. Needs root; leaves nothing behind. `--quick` makes fewer rounds.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { berthBinary, newWorld, run } from "../test/support/world.ts";
import { plot, type Series } from "./plot.ts";
import { median } from "./statistics.ts";

const quick = process.argv.includes("--quick");
const rounds = quick ? 10 : 40;
const many = quick ? 100 : 500;
const project = `${import.meta.dir}/..`;
const drivers = ["image", "btrfs", "plain"] as const;
/** `plain` keeps no limit. */
const limits = { image: ["--disk", "256M"], btrfs: ["--disk", "256M"], plain: ["--disk", "none"] } as const;

type Figure = {
  readonly what: string;
  readonly milliseconds: number;
  readonly rounds: number;
};
const figures: Figure[] = [];

const world = await newWorld("busybox", "debian-13");
try {
  await world.ok("pool", "create", "--driver", "btrfs", "--size", "4G");
  for (const driver of drivers) {
    await storageWork(driver);
    await frozenTime(driver);
  }
  const growth = await growthOfMany();
  const cache = await pageCache();
  report(growth, cache);
} finally {
  await world.berth("rm", "--force", "--all");
  await world.berth("pool", "rm", "--driver", "btrfs");
  await world.end();
}

/** create, clone and snapshot in a process that runs, without its start and without the rest of a container. */
async function storageWork(driver: string): Promise<void> {
  const { stdout, stderr, code } = await run(
    [process.execPath, `${import.meta.dir}/storage-work.ts`, driver, String(rounds)],
    { env: world.env },
  );
  if (code !== 0) throw new Error(`storage-work.ts ${driver}: ${stderr}`);
  for (const [what, all] of Object.entries(JSON.parse(stdout) as Record<string, readonly number[]>))
    figures.push({ what: `${driver}: ${what}`, milliseconds: median(all), rounds: all.length });
}

/** How long a guest stands still that has just changed 1000 files of 10000. */
async function frozenTime(driver: (typeof drivers)[number]): Promise<void> {
  const name = `run-${driver}`;
  await world.ok("create", name, "-t", "busybox", "--storage", driver, ...limits[driver], "--start");
  const files = (from: number, to: number, word: string): string =>
    `i=${from}; while [ $i -lt ${to} ]; do echo ${word} > /srv/$((i/100))/$i; i=$((i+1)); done`;
  await world.sh(name, "i=0; while [ $i -lt 100 ]; do mkdir -p /srv/$i; i=$((i+1)); done");
  await world.sh(name, files(0, 10000, "first"));
  const still: number[] = [];
  for (let round = 0; round < Math.ceil(rounds / 4); round += 1) {
    await world.sh(name, files(round * 100, round * 100 + 1000, `round ${round}`));
    const { frozenMilliseconds } = await world.json<{ frozenMilliseconds: number }>(
      "snapshot",
      "create",
      name,
      `s${round}`,
    );
    still.push(frozenMilliseconds);
  }
  figures.push({
    what: `${driver}: guest stands still for a snapshot, 1000 of 10000 files changed`,
    milliseconds: median(still),
    rounds: still.length,
  });
  await world.ok("rm", "--force", name);
}

/** Whole commands, process start and all, while the number of containers grows and shrinks. */
async function growthOfMany(): Promise<readonly Series[]> {
  const series: Series[] = [];
  for (const driver of drivers) {
    const create: [number, number][] = [];
    const rm: [number, number][] = [];
    for (let i = 0; i < many; i += 1)
      create.push([
        i,
        await timed("create", `n${i}`, "-t", "busybox", "--storage", driver, ...limits[driver]),
      ]);
    for (let i = many - 1; i >= 0; i -= 1) rm.push([i, await timed("rm", `n${i}`)]);
    for (const [what, points] of [
      ["create", create],
      ["rm", rm.reverse()],
    ] as const) {
      const tenth = Math.ceil(many / 10);
      const part = (from: number): number =>
        median(points.slice(from, from + tenth).map(([, milliseconds]) => milliseconds));
      figures.push({
        what: `${driver}: berth ${what}, first tenth of ${many}`,
        milliseconds: part(0),
        rounds: tenth,
      });
      figures.push({
        what: `${driver}: berth ${what}, last tenth of ${many}`,
        milliseconds: part(many - tenth),
        rounds: tenth,
      });
      series.push({ name: `${what} ${driver}`, points: smooth(points) });
    }
  }
  return series;
}

async function timed(...args: readonly string[]): Promise<number> {
  const since = performance.now();
  const child = Bun.spawn([berthBinary, "--quiet", ...args], { env: world.env, stdout: "ignore" });
  if ((await child.exited) !== 0) throw new Error(`berth ${args.join(" ")} failed`);
  return performance.now() - since;
}

/** Medians of ten neighbours: one slow disk write is no growth. */
function smooth(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  return Array.from({ length: Math.floor(points.length / 10) }, (_, at) => {
    const part = points.slice(at * 10, at * 10 + 10);
    return [at * 10 + 5, median(part.map(([, y]) => y))] as const;
  });
}

type Cache = { readonly guests: number; readonly mebibytesRead: number; readonly mebibytesCached: number };

/** Guests of one template read the same files of it: how much page cache that takes in all. */
async function pageCache(): Promise<readonly Cache[]> {
  const guests = quick ? 10 : 100;
  const read = "cat /usr/lib/*-linux-gnu/*.so* /usr/bin/* 2>/dev/null";
  for (let i = 0; i < guests; i += 1)
    await world.ok(
      ...["create", `c${i}`, "-t", "debian-13", "--storage", "plain", "--network", "none", "--start"],
      ...["--init", "/bin/sleep", "--init", "infinity"],
    );
  const bytes = Number(await world.sh("c0", `${read} | wc -c`));
  await run(["sync"]);
  writeFileSync("/proc/sys/vm/drop_caches", "3");
  const results: Cache[] = [];
  const before = cached();
  for (let i = 0; i < guests; i += 1) {
    await world.sh(`c${i}`, `${read} > /dev/null`);
    if (i === 0 || i === guests - 1)
      results.push({
        guests: i + 1,
        mebibytesRead: Math.round(bytes / 2 ** 20),
        mebibytesCached: Math.round((cached() - before) / 1024),
      });
  }
  await world.ok("rm", "--force", "--all");
  return results;
}

/** KiB of page cache on this host. */
function cached(): number {
  return Number(/^Cached:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0);
}

function report(growth: readonly Series[], cache: readonly Cache[]): void {
  const host = { kernel: release(), cpus: cpus().length, memory: totalmem() };
  mkdirSync(`${project}/bench/results`, { recursive: true });
  writeFileSync(
    `${project}/bench/results/storage.json`,
    `${JSON.stringify({ date: new Date().toISOString(), quick, host, figures, cache }, null, 2)}\n`,
  );
  if (!quick) {
    mkdirSync(`${project}/docs/plots`, { recursive: true });
    for (const command of ["create", "rm"])
      writeFileSync(
        `${project}/docs/plots/storage-${command}.svg`,
        plot(
          `berth ${command} with other containers on the same pool`,
          "containers",
          "milliseconds, whole command",
          growth.filter(({ name }) => name.startsWith(command)),
        ),
      );
  }
  for (const { what, milliseconds, rounds: n } of figures)
    process.stdout.write(`${milliseconds.toFixed(2).padStart(9)} ms  ${what} (median of ${n})\n`);
  for (const { guests, mebibytesRead, mebibytesCached } of cache)
    process.stdout.write(
      `${String(mebibytesCached).padStart(7)} MiB  page cache after ${guests} guests read the same ${mebibytesRead} MiB of their template\n`,
    );
}
