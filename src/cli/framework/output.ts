/** What a command prints on stdout: text for people, or exactly one JSON document with --json. */
import { writeAll } from "../../kernel/terminal.ts";

export type Output = {
  /** One line of text for people; nothing with --json. */
  readonly line: (text: string) => void;
  /** Bytes as they are (a log, a config file), also with --json or --quiet. */
  readonly raw: (text: string | Uint8Array) => void;
  /** The command's result: the JSON document with --json, else what `render` makes of it. Once a command. */
  readonly result: (value: unknown, render?: () => string | undefined) => void;
};

const STDOUT = 1;

/** Writes to `write` (stdout unless told). */
export function makeOutput(
  json: boolean,
  write: (text: string | Uint8Array) => void = (text) => writeAll(STDOUT, text),
): Output {
  const line = (text: string): void => {
    if (!json) write(text.endsWith("\n") ? text : `${text}\n`);
  };
  return {
    line,
    raw: write,
    result: (value, render) => {
      if (json) {
        write(`${JSON.stringify(value, null, 2)}\n`);
        return;
      }
      const text = render?.();
      if (text !== undefined && text !== "") line(text);
    },
  };
}
