/** Failures as people and scripts read them, always on stderr: stdout holds results alone. */
import { asBerthError, type BerthError } from "../../base/errors.ts";
import { writeAll } from "../../kernel/terminal.ts";
import { visible, visibleLines } from "./escape.ts";

const STDERR = 2;

/** "berth: message" and the hint below it; with BERTH_DEBUG the stack and the causes as well. */
export function errorText(error: BerthError, debug: boolean): string {
  const hint = error.hint.split("\n").filter((line) => line !== "");
  const lines = [`berth: ${visible(error.message)}`, ...hint.map((line) => `  ${visible(line)}`)];
  if (debug) {
    for (let at: unknown = error; at instanceof Error; at = at.cause)
      lines.push(visibleLines(at.stack ?? at.message));
  }
  return `${lines.join("\n")}\n`;
}

/** The same as data; what `--json` prints, and what stands beside a name in a list of results. */
export function errorData(error: BerthError): {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
} {
  return { code: error.code, message: error.message, hint: error.hint };
}

/** Prints it on stderr. */
export function reportError(thrown: unknown, json: boolean): BerthError {
  const error = asBerthError(thrown);
  const debug = (process.env.BERTH_DEBUG ?? "") !== "";
  writeAll(STDERR, json ? `${JSON.stringify({ error: errorData(error) })}\n` : errorText(error, debug));
  return error;
}
