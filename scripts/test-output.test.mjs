import { expect, test } from "bun:test";
import { readJunit, readOutcome, readSummary } from "./test-output.mjs";

const junit = `<testsuites name="bun test" tests="4">
  <testsuite name="a.test.ts">
    <testcase name="p &amp; &lt;x&gt;&#10;" classname="g" time="0" line="2" />
    <testcase name="SKIP: no kernel" classname="" time="0"><skipped /></testcase>
    <testcase name="f" classname="g"><failure type="AssertionError" message="a &gt; b">text</failure></testcase>
    <testcase name="later" classname="g">
      <skipped message="TODO" />
    </testcase>
  </testsuite>
</testsuites>`;

test("a JUnit file", () => {
  expect(readJunit(junit)).toEqual([
    { kind: "passed", name: "g: p & <x>\n" },
    { kind: "skipped", name: "SKIP: no kernel" },
    { kind: "failed", name: "g: f" },
    { kind: "skipped", name: "g: later" },
  ]);
  expect(readJunit("")).toEqual([]);
});

test("closing lines", () => {
  expect(readSummary("native: 12 passed, 0 failed")).toEqual({ passed: 12, failed: 0, skipped: 0 });
  expect(readSummary("3 passed, 1 failed, 2 skipped")).toEqual({ passed: 3, failed: 1, skipped: 2 });
  expect(readSummary("of 3 passed, 1 failed")).toBeUndefined();
});

test("lines that tell of one test", () => {
  expect(readOutcome("ok plan_reads")).toEqual([{ kind: "passed", name: "plan_reads" }]);
  expect(readOutcome("not ok x")).toEqual([{ kind: "failed", name: "x" }]);
  expect(readOutcome("SKIP x: no v2")).toEqual([{ kind: "skipped", name: "x: no v2" }]);
  expect(readOutcome("okay")).toEqual([]);
});
