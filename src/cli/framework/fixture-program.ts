/** A small program made with the framework; program.test.ts runs it. */
import { BerthError } from "../../base/errors.ts";
import { type Command, type CommandTable, defineCommand } from "./command.ts";
import { eachName } from "./each-name.ts";
import { runProgram } from "./program.ts";

const nothing = { arguments: [], options: [], examples: [] } as const;

const greet = defineCommand({
  name: "greet",
  summary: "Greet",
  arguments: [{ name: "name", kind: "string", summary: "Whom" }],
  options: [],
  examples: [{ command: "berth greet bob", what: "Greet Bob" }],
  async run({ arguments: { name }, out }) {
    out.result({ name }, () => `hello ${name}`);
  },
});

const fail = defineCommand({
  ...nothing,
  name: "fail",
  summary: "Fail",
  async run() {
    throw new BerthError("container.not-found", 'there is no container "x\x1b"', 'see "berth ls"');
  },
});

const crash = defineCommand({
  ...nothing,
  name: "crash",
  summary: "Crash",
  async run() {
    throw new Error("boom");
  },
});

const pass = defineCommand({
  name: "pass",
  summary: "Pass an exit code through",
  arguments: [{ name: "name", kind: "string", summary: "Name" }],
  options: [],
  passthrough: { name: "code", summary: "Exit code" },
  passesExitCode: true,
  examples: [],
  async run({ rest }) {
    return Number(rest[0]);
  },
});

const many = defineCommand({
  name: "many",
  summary: "Several names",
  arguments: [{ name: "name", kind: "string", variadic: true, orAll: true, summary: "Names" }],
  options: [],
  examples: [],
  async run(context) {
    return eachName(context, context.arguments.name, async (name) => {
      if (name === "bad") throw new BerthError("container.not-found", "no bad");
      return name.length;
    });
  },
});

const wait = defineCommand({
  ...nothing,
  name: "wait",
  summary: "Wait for Ctrl-C",
  async run({ progress, out }) {
    await new Promise((_, reject) => {
      const timer = setTimeout(() => {}, 60_000);
      progress.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        progress.emit({ type: "note", text: "undone" });
        reject(new BerthError("container.start-failed", "interrupted"));
      });
      out.line("waiting");
    });
  },
});

const load = (command: Command) => async () => ({ command });

const table: CommandTable = [
  {
    title: "All",
    commands: {
      greet: load(greet),
      fail: load(fail),
      crash: load(crash),
      pass: load(pass),
      many: load(many),
      wait: load(wait),
      set: { summary: "Settings", commands: { greet: load({ ...greet, name: "set greet" }) } },
    },
  },
];

process.exit(await runProgram(table, process.argv.slice(2), "1.2.3"));
