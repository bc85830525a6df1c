/** Tables for people: aligned, as wide as the terminal allows, harmless whatever the cells hold. */
import { isTerminal, windowSize } from "../../kernel/terminal.ts";
import { visible } from "./escape.ts";

const STDOUT = 1;
const GAP = "  ";
const LEAST_SHRUNK = 8;

export type Colour = "red" | "green" | "yellow" | "blue" | "dim";

export type Column<Row> = {
  /** Shown in capitals. */
  readonly title: string;
  readonly cell: (row: Row) => string | number | undefined;
  readonly align?: "left" | "right";
  /** Cut with "…" where the terminal is too narrow; the last such column first. */
  readonly shrinks?: boolean;
  readonly colour?: (row: Row) => Colour | undefined;
};

export type TableStyle = {
  /** Columns of the terminal; undefined cuts nothing. */
  readonly width: number | undefined;
  readonly colour: boolean;
};

/** ECMA-48 select graphic rendition. */
const colourCodes: Record<Colour, string> = { red: "31", green: "32", yellow: "33", blue: "34", dim: "2" };

/** What stdout can show: its width and colours on a terminal (NO_COLOR and TERM=dumb respected), plain text elsewhere. */
export function stdoutStyle(): TableStyle {
  const size = windowSize(STDOUT);
  const colour = (process.env.NO_COLOR ?? "") === "" && process.env.TERM !== "dumb" && isTerminal(STDOUT);
  return { width: size === undefined || size.columns === 0 ? undefined : size.columns, colour };
}

/** Header and rows; an empty cell shows as "-". */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  style: TableStyle = stdoutStyle(),
): string {
  const texts = rows.map((row) => columns.map((column) => visible(String(column.cell(row) ?? "")) || "-"));
  const natural = columns.map((column, i) =>
    Math.max(Bun.stringWidth(column.title), ...texts.map((cells) => Bun.stringWidth(cells[i] ?? ""))),
  );
  const widths = shrink(columns, natural, style.width);
  const header = columns.map((column, i) => place(column.title.toUpperCase(), column, widths[i] ?? 0));
  const lines = texts.map((cells, r) =>
    cells.map((cell, i) => {
      const column = columns[i];
      const row = rows[r];
      if (column === undefined || row === undefined) return cell;
      const colour = style.colour ? column.colour?.(row) : undefined;
      const placed = place(cell, column, widths[i] ?? 0);
      return colour === undefined ? placed : `\x1b[${colourCodes[colour]}m${placed}\x1b[0m`;
    }),
  );
  return [header, ...lines].map((cells) => `${cells.join(GAP).trimEnd()}\n`).join("");
}

function shrink<Row>(
  columns: readonly Column<Row>[],
  natural: readonly number[],
  width: number | undefined,
): readonly number[] {
  if (width === undefined) return natural;
  const widths = [...natural];
  let excess = widths.reduce((sum, n) => sum + n, GAP.length * (widths.length - 1)) - width;
  for (let i = columns.length - 1; i >= 0 && excess > 0; i--) {
    const own = widths[i] ?? 0;
    if (!columns[i]?.shrinks || own <= LEAST_SHRUNK) continue;
    const taken = Math.min(excess, own - LEAST_SHRUNK);
    widths[i] = own - taken;
    excess -= taken;
  }
  return widths;
}

function place(text: string, column: { readonly align?: "left" | "right" }, width: number): string {
  const cut = cutTo(text, width);
  const pad = " ".repeat(Math.max(0, width - Bun.stringWidth(cut)));
  return column.align === "right" ? pad + cut : cut + pad;
}

function cutTo(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  let cut = "";
  for (const character of text) {
    if (Bun.stringWidth(cut + character) > width - 1) break;
    cut += character;
  }
  return `${cut}…`;
}

/** "key: value" lines with the values aligned; undefined values are left out. */
export function renderFields(fields: readonly (readonly [key: string, value: string | undefined])[]): string {
  const shown = fields.filter(([, value]) => value !== undefined);
  const width = Math.max(0, ...shown.map(([key]) => key.length));
  return shown
    .map(([key, value]) => `${`${key}:`.padEnd(width + 2)}${visible(value ?? "")}`.trimEnd())
    .join("\n");
}
