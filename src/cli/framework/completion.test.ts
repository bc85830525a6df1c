import { expect, test } from "bun:test";
import fc from "fast-check";
import { type CommandTable, defineCommand } from "./command.ts";
import { complete } from "./completion.ts";
import { joinBroken } from "./shells.ts";

const start = defineCommand({
  name: "start",
  summary: "Start containers",
  arguments: [{ name: "name", kind: "container", variadic: true, orAll: true, summary: "Which" }],
  options: [
    { name: "template", kind: "template", summary: "From" },
    { name: "storage", kind: "choice", choices: ["image", "plain"], summary: "Driver" },
    { name: "file", kind: "path", summary: "File" },
    { name: "env", kind: "pair", repeatable: true, summary: "Environment" },
  ],
  examples: [],
  async run() {},
});
const exec = defineCommand({
  name: "exec",
  summary: "Run",
  arguments: [{ name: "name", kind: "container", summary: "Which" }],
  options: [],
  passthrough: { name: "command", summary: "What" },
  examples: [],
  async run() {},
});
const build = defineCommand({
  name: "template build",
  summary: "Build",
  arguments: [{ name: "template", kind: "choice", choices: ["debian-13", "busybox"], summary: "Which" }],
  options: [],
  examples: [],
  async run() {},
});
const restore = defineCommand({
  name: "restore",
  summary: "Restore",
  arguments: [
    { name: "name", kind: "container", summary: "Which" },
    { name: "snapshot", kind: "snapshot", summary: "Which" },
  ],
  options: [
    { name: "unset", kind: "setting", repeatable: true, summary: "Key" },
    { name: "unmount", kind: "mount-target", repeatable: true, summary: "Target" },
  ],
  examples: [],
  async run() {},
});
const hidden = defineCommand({ ...exec, name: "__x", hidden: true });

const table: CommandTable = [
  {
    title: "all",
    commands: {
      start: async () => ({ command: start }),
      exec: async () => ({ command: exec }),
      restore: async () => ({ command: restore }),
      template: { summary: "Templates", commands: { build: async () => ({ command: build }) } },
      __x: async () => ({ command: hidden }),
    },
  },
];
const names = {
  container: () => ["web1", "web2", "db"],
  template: () => ["debian-13"],
  volume: () => ["data"],
  setting: () => ["memory", "network.mode"],
  snapshot: (container: string) => [`${container}-monday`, `${container}-tuesday`],
  "mount-target": (container: string) => [`/${container}/data`],
};

async function values(line: string): Promise<string> {
  const { candidates, files } = await complete(table, line.split(" "), names);
  return [...candidates.map(({ value }) => value), ...(files ? [":files"] : [])].join(" ");
}

test.each([
  ["", "start exec restore template"],
  ["--json e", "exec"],
  ["template ", "build"],
  ["template build de", "debian-13"],
  ["start w", "web1 web2"],
  ["start web1 ", "web2 db"],
  ["start --st", "--storage"],
  ["start --storage ", "image plain"],
  ["start --storage=p", "--storage=plain"],
  ["start --template ", "debian-13"],
  ["start --file ", ":files"],
  ["start --env a=b --storage x --e", "--env"],
  ["start --storage x --sto", ""],
  ["start --a", "--all"],
  ["exec ", "web1 web2 db"],
  ["exec web1 l", ":files"],
  ["exec web1 -- l", ":files"],
  ["restore web1 ", "web1-monday web1-tuesday"],
  ["restore web1 web1-t", "web1-tuesday"],
  ["restore --unset ", "memory network.mode"],
  ["restore web1 --unset n", "network.mode"],
  ["restore web1 --unmount ", "/web1/data"],
  ["restore web1 --unmount=/", "--unmount=/web1/data"],
  ["restore --unmount ", ""],
  ["nonsense x", ""],
])("berth %s<TAB>", async (line, expected) => {
  expect(await values(line)).toBe(expected);
});

test("whatever stands on the line, completion does not fail", async () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("start", "exec", "template", "--", "--storage", "", "__proto__"),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(word), async (words) => {
      await complete(table, words, names);
    }),
  );
});

test("bash's broken words are joined", () => {
  expect(joinBroken(["start", "--storage", "=", "im"])).toEqual(["start", "--storage=im"]);
  expect(joinBroken(["start", "--storage", "="])).toEqual(["start", "--storage="]);
  expect(joinBroken(["exec", "a", "="])).toEqual(["exec", "a", "="]);
});
