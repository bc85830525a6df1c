/**
 * npm run bench:migration [-- --quick]: how long a guest stands still while it moves to another host and back. The hosts
 * are two network namespaces; a client on their LAN sends a byte each millisecond, and the longest gap between two answers
 * is what it sees. Beside it the same guest by CRIU alone: written down, copied, brought back. Then both again with a process that
 * holds much memory and writes to it. Writes bench/results/migration.json and prints a table. Needs root; leaves nothing behind. `--quick` makes fewer rounds.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { type Host, twoHosts } from "../test/support/two-hosts.ts";
import { type Info, run } from "../test/support/world.ts";
import { echoServer, openEcho } from "./echo.ts";
import { median } from "./statistics.ts";

const quick = process.argv.includes("--quick");
const rounds = quick ? 2 : 10;
const project = `${import.meta.dir}/..`;
const GUEST = "web1";

/** Holds 500 MB and writes to 5 MB of them a second, a page at a time. */
const hog = `systemd-run --expand-environment=no --unit hog perl -e '
$m = "x" x (500 << 20); for (;;) {
  for (1 .. 13) { substr($m, $at, 1) = "y"; $at = ($at + 4096) % (500 << 20) } select undef, undef, undef, 0.01 }'`;
const FILLED_MS = 5000;
const LOADED = "500 MB resident, 5 MB/s written";

type Moved = {
  readonly stages: readonly { readonly stage: string; readonly milliseconds: number }[];
  readonly standStill: number;
};

const series = new Map<string, number[]>();
const add = (what: string, milliseconds: number): void => {
  series.set(what, [...(series.get(what) ?? []), milliseconds]);
};

const hosts = await twoHosts("bench", "debian-13");
try {
  const { a, b } = hosts;
  await a.world.ok("create", GUEST, "-t", "debian-13", "--start");
  await a.world.booted(GUEST);
  await a.world.sh(GUEST, echoServer);
  const { address } = await a.world.json<Info>("info", GUEST);
  await using echo = await openEcho(hosts.onLan, address);
  await both("idle", rounds);
  await a.world.sh(GUEST, hog);
  await Bun.sleep(FILLED_MS);
  await both(LOADED, Math.ceil(rounds / 2));
  report();

  async function both(load: string, times: number): Promise<void> {
    for (let round = 0; round < times; round += 1) {
      await move(load, a, b);
      await move(load, b, a);
      await byCriuAlone(load, a);
    }
  }

  async function move(load: string, from: Host, to: Host): Promise<void> {
    await echo.settle();
    const moved = await from.world.json<Moved>("migrate", GUEST, "other", "--rsh", to.way);
    add(`${load}: migrate: longest gap that a TCP client sees`, await echo.longestGap());
    add(`${load}: migrate: stands still`, moved.standStill);
    for (const { stage, milliseconds } of moved.stages)
      add(`${load}: migrate, stage: ${stage}`, milliseconds);
  }

  /** Written down to disk, copied as a person would to the other host's disk, brought back. */
  async function byCriuAlone(load: string, { world }: Host): Promise<void> {
    await echo.settle();
    const images = `${world.at.lib}/containers/${GUEST}/checkpoint`;
    const copy = `${hosts.b.world.root}/copy`;
    const since = performance.now();
    await world.ok("suspend", GUEST);
    await run(["cp", "-a", "--", images, copy]);
    await world.ok("resume", GUEST);
    add(`${load}: suspend, copy, resume: whole commands`, performance.now() - since);
    add(`${load}: suspend, copy, resume: longest gap that a TCP client sees`, await echo.longestGap());
    await run(["rm", "-r", "--", copy]);
  }
} finally {
  await hosts.end();
}

function report(): void {
  const figures = [...series].map(([what, all]) => ({
    what,
    milliseconds: median(all),
    least: Math.min(...all),
    most: Math.max(...all),
    rounds: all.length,
  }));
  const host = { kernel: release(), cpus: cpus().length, memory: totalmem() };
  mkdirSync(`${project}/bench/results`, { recursive: true });
  writeFileSync(
    `${project}/bench/results/migration.json`,
    `${JSON.stringify({ date: new Date().toISOString(), quick, host, figures }, null, 2)}\n`,
  );
  for (const { what, milliseconds, least, most, rounds: n } of figures)
    process.stdout.write(
      `${milliseconds.toFixed(0).padStart(6)} ms  ${what} (median of ${n}, ${least.toFixed(0)} to ${most.toFixed(0)})\n`,
    );
}
