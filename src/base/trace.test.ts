import { expect, test } from "bun:test";

const file = JSON.stringify(`${import.meta.dir}/trace.ts`);
const code = `const { trace } = require(${file}); trace("one"); trace("two");`;
const said = (value: string): string =>
  Bun.spawnSync([process.execPath, "-e", code], { env: { BERTH_TRACE: value } }).stderr.toString();

test("a step says when it ended and what it took", () => {
  expect(said("1")).toMatch(/^trace \d+\.\d\d \+\d+\.\d\d one\ntrace \d+\.\d\d \+\d+\.\d\d two\n$/);
});

test("nothing is printed unless asked for", () => {
  expect(said("")).toBe("");
});
