/** Progress events on stderr: a bar on a terminal, plain lines elsewhere, JSON lines with --json. */
import type { ProgressEvent } from "../../base/progress.ts";
import { formatSize } from "../../base/units.ts";
import { visible } from "./escape.ts";
import { progressRate } from "./progress-rate.ts";

export type ProgressMode =
  | { readonly type: "terminal"; readonly columns: number }
  | { readonly type: "plain" }
  | { readonly type: "json" }
  | { readonly type: "quiet" };

export type ProgressRenderer = {
  readonly emit: (event: ProgressEvent) => void;
  /** Takes the bar off the terminal; to be called before anything else is printed. */
  readonly clear: () => void;
};

type Advance = Extract<ProgressEvent, { type: "advance" }>;

const REDRAW_MILLISECONDS = 80;
const PLAIN_MILLISECONDS = 5000;
const BAR_CELLS = 24;
/** ECMA-48: carriage return and erase to the end of the line. */
const ERASE_LINE = "\r\x1b[K";

/** A renderer that writes by `write`; `now` is a monotonic clock in milliseconds. */
export function progressRenderer(
  mode: ProgressMode,
  write: (text: string) => void,
  now: () => number = () => performance.now(),
): ProgressRenderer {
  switch (mode.type) {
    case "json":
      return { emit: (event) => write(`${JSON.stringify(event)}\n`), clear: () => {} };
    case "quiet":
      return { emit: (event) => event.type === "warning" && write(`${plainLine(event)}\n`), clear: () => {} };
    case "plain":
      return { emit: plainEmitter(write, now), clear: () => {} };
    case "terminal":
      return terminalRenderer(mode.columns, write, now);
  }
}

function plainLine(event: Exclude<ProgressEvent, Advance>): string {
  switch (event.type) {
    case "step":
      return visible(event.label);
    case "note":
      return visible(event.text);
    case "warning":
      return `warning: ${visible(event.text)}`;
  }
}

/** Steps, notes and warnings as lines; an advance once every five seconds and when it is done. */
function plainEmitter(write: (text: string) => void, now: () => number): (event: ProgressEvent) => void {
  const rate = progressRate(now);
  let label = "";
  let last = 0;
  let finished = false;
  return (event) => {
    if (event.type !== "advance") {
      write(`${plainLine(event)}\n`);
      return;
    }
    const speed = rate(event);
    if (event.label !== label) {
      label = event.label;
      last = now();
      finished = false;
    }
    const done = event.total !== undefined && event.done >= event.total;
    if (finished || (!done && now() - last < PLAIN_MILLISECONDS)) return;
    finished = done;
    last = now();
    write(`${visible(event.label)}: ${amountOf(event)}${speed}\n`);
  };
}

/** "45% (12M of 30M)", "12M", "45%". */
export function amountOf({ done, total, unit }: Advance): string {
  const show = (n: number): string => (unit === "bytes" ? formatSize(n) : String(n));
  if (unit === "percent") return `${Math.floor(done)}%`;
  if (total === undefined || total <= 0) return show(done);
  return `${Math.floor((100 * Math.min(done, total)) / total)}% (${show(done)} of ${show(total)})`;
}

/** `[########................]`; undefined when the end is not known. */
function barOf({ done, total, unit }: Advance): string | undefined {
  const end = unit === "percent" ? (total ?? 100) : total;
  if (end === undefined || end <= 0) return undefined;
  const cells = Math.round(BAR_CELLS * Math.min(1, Math.max(0, done / end)));
  return `[${"#".repeat(cells)}${".".repeat(BAR_CELLS - cells)}]`;
}

function terminalRenderer(
  columns: number,
  write: (text: string) => void,
  now: () => number,
): ProgressRenderer {
  const rate = progressRate(now);
  let shown = false;
  let label = "";
  let last = Number.NEGATIVE_INFINITY;
  const clear = (): void => {
    if (shown) write(ERASE_LINE);
    shown = false;
  };
  const draw = (event: Advance): void => {
    const speed = rate(event);
    const done = event.total !== undefined && event.done >= event.total;
    if (event.label === label && !done && now() - last < REDRAW_MILLISECONDS) return;
    label = event.label;
    last = now();
    const amount = `${amountOf(event)}${speed}`;
    const parts = [visible(event.label), barOf(event), amount].filter((part) => part !== undefined);
    // The last column stays free: writing into it would wrap on some terminals.
    write(ERASE_LINE + parts.join("  ").slice(0, Math.max(1, columns - 1)));
    shown = true;
  };
  return {
    emit: (event) => {
      if (event.type === "advance") {
        draw(event);
        return;
      }
      clear();
      write(`${plainLine(event)}\n`);
    },
    clear,
  };
}
