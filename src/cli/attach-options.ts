/** Options of commands that run something in a guest. */
import { writeAll } from "../kernel/terminal.ts";
import { visible } from "./framework/escape.ts";

/** Who, where, with what environment, on what terminal. */
export const runOptions = [
  {
    name: "user",
    short: "u",
    kind: "string",
    value: "USER[:GROUP]",
    summary: "Who runs it: a name of the guest's, or a number",
  },
  {
    name: "cwd",
    short: "w",
    kind: "string",
    value: "DIR",
    summary: "Directory in the guest to run it in; the user's home when absent",
  },
  {
    name: "env",
    short: "e",
    kind: "pair",
    repeatable: true,
    summary: "Environment variable; may be repeated",
  },
  {
    name: "tty",
    kind: "choice",
    choices: ["auto", "always", "never"],
    default: "auto",
    summary: "Whether it gets a terminal of its own",
  },
] as const;

/** Says on stderr why the command could not be run. */
export const explain = (why: string): void => writeAll(2, `berth: ${visible(why)}\n`);
