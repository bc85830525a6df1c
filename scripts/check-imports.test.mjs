import { expect, test } from "bun:test";
import { checkTree, importsOf, roomOf, rooms, violations } from "./check-imports.mjs";

test("every form of import is seen, comments and calls named from are not", () => {
  const source = [
    'import a from "./a.ts";',
    "import { b,",
    "  c } from '../b.ts';",
    'export * from "./c.ts";',
    'import "./d.ts";',
    'const e = await import("./e.ts");',
    '// import x from "./x.ts"',
    '/* import y from "./y.ts" */ Buffer.from("/");',
  ].join("\n");
  expect(importsOf(source)).toEqual([
    { specifier: "./a.ts", line: 1 },
    { specifier: "../b.ts", line: 3 },
    { specifier: "./c.ts", line: 4 },
    { specifier: "./d.ts", line: 5 },
    { specifier: "./e.ts", line: 6 },
  ]);
});

test("the longest room wins", () => {
  expect(roomOf("cli/framework/x.ts")).toBe("cli/framework");
  expect(roomOf("cli/main.ts")).toBe("cli");
  expect(roomOf("elsewhere/x.ts")).toBeUndefined();
});

test.each([
  ["container/start.ts", "../launch/plan.ts", undefined],
  ["container/start.ts", "./stop.ts", undefined],
  ["container/start.ts", "node:fs", undefined],
  ["config/container.ts", "yaml", undefined],
  ["base/version.ts", "../../package.json", undefined],
  ["launch/plan.ts", "../container/start.ts", "launch/ must not import container/"],
  ["storage/image.ts", "../network/bridge.ts", "storage/ must not import network/"],
  ["base/x.ts", "../kernel/libc.ts", "base/ must not import kernel/"],
  ["web/app.ts", "../container/start.ts", "web/ must not import container/"],
  ["cli/framework/x.ts", "../commands/start.ts", "cli/framework/ must not import cli/commands/"],
  ["kernel/x.ts", "../../lab/x.ts", "outside src/"],
  ["kernel/x.ts", "left-pad", "left-pad"],
])("%s importing %s", (path, specifier, fault) => {
  const found = violations(path, `import "${specifier}";`, ["yaml"]);
  if (fault === undefined) expect(found).toEqual([]);
  else expect(found.join()).toContain(fault);
});

test("no two rooms import each other but the command line's own", () => {
  for (const [room, imports] of Object.entries(rooms))
    for (const other of imports)
      if (!(room.startsWith("cli") && other.startsWith("cli"))) expect(rooms[other]).not.toContain(room);
});

test("the tree keeps to the table", () => {
  expect(checkTree().faults).toEqual([]);
});
