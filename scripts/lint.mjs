/**
 * npm run lint: formatting and lint, types, imports between rooms, generated documents, gcc's analyzer over the C
 * (when it has changed since the last time). `--fix` writes what can be.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bun, fail, filesBelow, isUpToDate, root, run, say, tool } from "./project.mjs";

const fix = process.argv.includes("--fix");
const steps = [
  ["biome", () => run(tool("biome"), ["check", ...(fix ? ["--write"] : [])])],
  ["types", () => run(tool("tsc"), ["-p", "."])],
  ["imports", () => run("node", [join(root, "scripts/check-imports.mjs")])],
  ["documents", () => run(bun(), [join(root, "scripts/gen-docs.ts"), ...(fix ? [] : ["--check"])])],
  ["C", analyzeNative],
];

const failed = steps.filter(([name, check]) => {
  say(`lint: ${name}`);
  return check() !== 0;
});
if (failed.length > 0)
  fail(
    `lint failed: ${failed.map(([name]) => name).join(", ")}`,
    "npm run lint -- --fix mends what a program can",
  );

/** gcc -fanalyzer takes half a minute, so what it has seen is remembered by a stamp. */
function analyzeNative() {
  const stamp = join(root, "build/analyzed");
  const sources = filesBelow(join(root, "native"), (path) => /(\.[ch]|Makefile)$/.test(path));
  if (isUpToDate(stamp, sources)) return 0;
  const status = run("make", ["-C", "native", "--no-print-directory", "--silent", "analyze"]);
  if (status === 0) {
    mkdirSync(join(root, "build"), { recursive: true });
    writeFileSync(stamp, "");
  }
  return status;
}
