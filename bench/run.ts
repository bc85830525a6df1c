/**
 * npm run bench [-- --quick] [--json] [--verdict] [--only WORK]: berth and its peers side by side on this machine. The
 * full run writes bench/results/performance.json, docs/plots/*.svg and docs/performance.md; a quick one, or one of some
 * works only, bench/results/quick.json. Needs root; leaves nothing behind but the peers' Debian packages.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Bench, endBench, fullSizes, labelOf, newBench, quickSizes } from "./bench.ts";
import { machine, quietness } from "./machine.ts";
import { type Record_, writePage } from "./page.ts";
import { outcomeOf, tableText } from "./report.ts";
import { rowsFor } from "./rows.ts";
import { cycle } from "./works/cycle.ts";
import { inside } from "./works/inside.ts";
import { keeper } from "./works/keeper.ts";
import { library } from "./works/library.ts";
import { type Growth, many } from "./works/many.ts";
import { fleet, systemd } from "./works/systemd.ts";

const { values: asked } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    verdict: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
  },
});
const growth: Growth = new Map();
const works: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  ...{ cycle, library, keeper, inside, systemd, fleet },
  many: (bench) => many(bench, growth),
};
const chosen = asked.only ?? Object.keys(works);
const unknown = chosen.find((name) => !(name in works));
if (unknown !== undefined) fail(`there is no work ${unknown}; there are ${Object.keys(works).join(", ")}`);
if (process.getuid?.() !== 0) fail("this needs root");

const say = (text: string): void => void process.stderr.write(`bench: ${text}\n`);
const host = machine();
say(`load before: ${host.loadBefore.toFixed(2)}`);
const sizes = asked.quick ? quickSizes : fullSizes;
const since = performance.now();
const bench = await newBench(sizes, say);
const stopped = stopOnSignal();
try {
  for (const name of chosen) await oneWork(name);
} finally {
  await endBench(bench);
}
process.exit(report());

/** A work that fails takes its rows with it, not the others'. */
async function oneWork(name: string): Promise<void> {
  if (stopped.aborted) return;
  say(`${name} (${((performance.now() - since) / 1000).toFixed(0)} s)`);
  try {
    await works[name]?.(bench);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    bench.samples.absent.set(name, why.slice(0, 500));
    say(`${name} failed: ${why}`);
  }
}

/** Ctrl-C ends it after the work under way, and cleans up. */
function stopOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
      say("ending after this work");
      controller.abort();
    });
  return controller.signal;
}

function report(): number {
  const { samples } = bench;
  const outcomes = rowsFor(sizes.populations.map(labelOf), sizes.fleet)
    .filter(({ by }) => chosen.includes(by))
    .map((row) => outcomeOf(row, samples))
    .map((outcome) => ({ ...outcome, reason: outcome.reason === null ? null : plain(outcome.reason) }));
  const record: Record_ = {
    date: new Date().toISOString(),
    quick: asked.quick,
    seconds: Math.round((performance.now() - since) / 1000),
    host,
    quietness: quietness(host, samples.series.get("floor") ?? []),
    outcomes,
    growth: Object.fromEntries(growth),
    samples: Object.fromEntries(samples.series),
  };
  const whole = !asked.quick && asked.only === undefined && !stopped.aborted;
  const results = `${import.meta.dir}/results`;
  mkdirSync(results, { recursive: true });
  writeFileSync(`${results}/${whole ? "performance" : "quick"}.json`, `${JSON.stringify(record)}\n`);
  if (whole) writePage(record);
  process.stdout.write(
    asked.json ? `${JSON.stringify(record, null, 2)}\n` : `${tableText(outcomes)}\n${reasons(record)}`,
  );
  const missed =
    stopped.aborted ||
    outcomes.some(({ verdict, goal }) => verdict === "missed" || (verdict === "not measured" && goal));
  return asked.verdict && missed ? 1 : 0;
}

/** Without this machine's paths, and what follows the first line. */
function plain(reason: string): string {
  const [first = ""] = reason.split("\n");
  return first
    .replaceAll(resolve(import.meta.dir, "..", "dist"), "")
    .replaceAll(/\/tmp\/t-berth-\w+/g, "DIR");
}

function reasons({ outcomes, quietness: { text }, seconds }: Record_): string {
  const lines = outcomes.flatMap(({ work, reason }) =>
    reason === null ? [] : [`not measured: ${work}: ${reason}`],
  );
  return `${[...lines, `${text}; ${seconds} s`].join("\n")}\n`;
}

function fail(text: string): never {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(2);
}
