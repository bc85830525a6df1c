/** docs/performance.md and its plots, from the record of a full run. `bun bench/page.ts` writes them anew. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Machine, Quiet } from "./machine.ts";
import { plot, type Series } from "./plot.ts";
import { digits, type Outcome, tableMarkdown } from "./report.ts";
import { median } from "./statistics.ts";

export type Record_ = {
  readonly date: string;
  readonly quick: boolean;
  readonly seconds: number;
  readonly host: Machine;
  readonly quietness: Quiet;
  readonly outcomes: readonly Outcome[];
  readonly growth: Readonly<Record<string, readonly (readonly [x: number, y: number])[]>>;
  readonly samples: Readonly<Record<string, readonly number[]>>;
};

const project = `${import.meta.dir}/..`;

/** Writes page and plots. */
export function writePage(record: Record_ | undefined): void {
  if (record !== undefined) writePlots(record);
  const page = readFileSync(`${import.meta.dir}/page.md`, "utf8");
  writeFileSync(
    `${project}/docs/performance.md`,
    page.replace("{{figures}}", () => figuresText(record)),
  );
}

const plotted = ["create", "start", "ls"] as const;

function writePlots({ growth }: Record_): void {
  const figures = `${project}/docs/plots`;
  mkdirSync(figures, { recursive: true });
  for (const work of plotted) writeFileSync(`${figures}/${work}.svg`, growthPlot(growth, work));
}

function growthPlot(growth: Record_["growth"], work: string): string {
  const lines: readonly Series[] = ["berth", "lxc"].map((side) => ({
    name: side,
    points: smooth(growth[`${work} ${side}`] ?? []),
  }));
  return plot(`${work}, by command, with other containers on the host`, "containers", "milliseconds", lines);
}

/** Medians of neighbours, at most a hundred points: one slow disk write is no growth. */
function smooth(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const width = Math.max(1, Math.ceil(points.length / 100));
  return Array.from({ length: Math.floor(points.length / width) }, (_, at) => {
    const part = points.slice(at * width, (at + 1) * width);
    return [part[0]?.[0] ?? 0, median(part.map(([, y]) => y))] as const;
  });
}

function figuresText(record: Record_ | undefined): string {
  if (record === undefined) return "No full run is on record yet.";
  const { date, host, quietness, outcomes, seconds } = record;
  const notes = outcomes.flatMap(({ work, note }) => (note === undefined ? [] : [`- ${work}: ${note}.`]));
  const missing = Map.groupBy(
    outcomes.filter(({ reason }) => reason !== null),
    ({ reason }) => reason,
  );
  for (const [reason, rows] of missing)
    notes.push(`- Not measured: ${rows.map(({ work }) => work).join("; ")}: ${reason}.`);
  return `Measured ${date.slice(0, 10)} in ${Math.round(seconds / 60)} minutes on Linux ${host.kernel}, ${host.processors} processors (${host.processor}), ${digits(host.memory / 2 ** 30)} GiB; ${quietness.text}.

${tableMarkdown(outcomes)}

${[...new Set(notes)].join("\n")}

## Growth
${plotted.map((work) => `![${work}](plots/${work}.svg)`).join("\n\n")}`;
}

if (import.meta.main) {
  const file = `${import.meta.dir}/results/performance.json`;
  writePage(existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Record_) : undefined);
}
