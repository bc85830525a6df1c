/** From samples to verdicts: the table that a run prints and the record that it writes. */
import type { Goal, Row } from "./rows.ts";
import type { Samples } from "./samples.ts";
import { median } from "./statistics.ts";

export type Figure = {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly rounds: number;
};

export type Verdict = "met" | "missed" | "not measured" | "no goal";

export type Outcome = Pick<Row, "by" | "work" | "unit" | "goal" | "note"> & {
  readonly ours: string;
  readonly peer: string;
  readonly oursFigure: Figure | null;
  readonly peerFigure: Figure | null;
  /** Ours divided by the peer's. */
  readonly ratio: number | null;
  readonly verdict: Verdict;
  /** Why it was not measured. */
  readonly reason: string | null;
};

/** The middle, the ends and the number of what was measured; null of nothing. */
export function figureOf(values: readonly number[] | undefined): Figure | null {
  if (values === undefined || values.length === 0) return null;
  return {
    median: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    rounds: values.length,
  };
}

/** Whether a ratio, and our own figure, keep to the goal. */
export function judge(goal: Goal | undefined, ratio: number, ours: number): Verdict {
  if (goal === undefined) return "no goal";
  const kept =
    ratio <= (goal.atMost ?? Number.POSITIVE_INFINITY) &&
    ratio >= (goal.atLeast ?? 0) &&
    ours < (goal.below ?? Number.POSITIVE_INFINITY);
  return kept ? "met" : "missed";
}

/** The row with its figures. */
export function outcomeOf(row: Row, { series, absent }: Samples): Outcome {
  const { by, work, unit, goal, note, ours, peer } = row;
  const oursFigure = figureOf(series.get(ours));
  const peerFigure = figureOf(series.get(peer));
  const shared = {
    ...{ by, work, unit, ours, peer, oursFigure, peerFigure },
    ...(goal === undefined ? {} : { goal }),
    ...(note === undefined ? {} : { note }),
  };
  if (oursFigure === null || peerFigure === null) {
    const missing = oursFigure === null ? ours : peer;
    return {
      ...shared,
      ratio: null,
      verdict: "not measured",
      reason: absent.get(missing) ?? absent.get(by) ?? "not asked for",
    };
  }
  const ratio = oursFigure.median / peerFigure.median;
  return { ...shared, ratio, verdict: judge(goal, ratio, oursFigure.median), reason: null };
}

/** A goal in words: "<= 0.40, < 100 ms". */
export const goalText = (goal: Goal | undefined): string =>
  [
    goal?.atMost === undefined ? "" : `<= ${goal.atMost}`,
    goal?.atLeast === undefined ? "" : `>= ${goal.atLeast}`,
    goal?.below === undefined ? "" : `< ${goal.below} ms`,
  ]
    .filter(Boolean)
    .join(", ") || "-";

/** Three digits that matter. */
export const digits = (value: number): string =>
  value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));

const cells = (outcome: Outcome): readonly string[] => {
  const { work, oursFigure, peerFigure, peer, ratio, unit, goal, verdict } = outcome;
  const figure = (one: Figure | null): string => (one === null ? "-" : `${digits(one.median)} ${unit}`);
  return [
    work,
    figure(oursFigure),
    `${figure(peerFigure)} ${peer}`,
    ratio === null ? "-" : ratio.toFixed(2),
    goalText(goal),
    verdict,
  ];
};

const titles = ["work", "berth", "peer", "ratio", "goal", "verdict"] as const;

/** The table for a terminal. */
export function tableText(outcomes: readonly Outcome[]): string {
  const rows = [titles, ...outcomes.map(cells)];
  const widths = titles.map((_, at) => Math.max(...rows.map((row) => (row[at] ?? "").length)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** The same as Markdown. */
export function tableMarkdown(outcomes: readonly Outcome[]): string {
  const line = (row: readonly string[]): string => `| ${row.join(" | ")} |`;
  return [line(titles), line(titles.map(() => "---")), ...outcomes.map((one) => line(cells(one)))].join("\n");
}
