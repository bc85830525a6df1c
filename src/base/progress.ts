/**
 * One object through every long operation: what is being done, how far it is, and whether to give up.
 * Operations emit typed events; rendering them (terminal, plain lines, JSON) is the CLI's.
 */

import { BerthError } from "./errors.ts";

export type ProgressEvent =
  | { readonly type: "step"; readonly label: string }
  | {
      readonly type: "advance";
      readonly label: string;
      readonly done: number;
      readonly total: number | undefined;
      readonly unit: "bytes" | "items" | "percent";
    }
  | { readonly type: "note"; readonly text: string }
  | { readonly type: "warning"; readonly text: string };

export type Progress = {
  readonly emit: (event: ProgressEvent) => void;
  /** Aborted by Ctrl-C; long operations look at it and undo. */
  readonly signal: AbortSignal;
};

/** Progress that nobody watches. */
export const silent: Progress = { emit: () => {}, signal: new AbortController().signal };

/** What to throw when an operation has failed: that it was interrupted, if it was, with the failure as the cause. */
export const orInterrupted = (
  { signal }: Pick<Progress, "signal">,
  doing: string,
  error: unknown,
): unknown =>
  signal.aborted
    ? new BerthError("interrupted", `${doing} was interrupted`, "all is as it was before", error)
    : error;
