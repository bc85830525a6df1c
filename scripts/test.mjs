/**
 * npm test [-- FILTER] [--lab] [--unit]: setup, build, lint, the C's own checks, unit tests, system tests on real
 * guests, and with --lab (or CI set) the lab's part for CI. Its last line is "N passed, N failed, N skipped".
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { bun, filesBelow, root, say } from "./project.mjs";
import { readJunit, readOutcome, readSummary } from "./test-output.mjs";

const flags = new Set(process.argv.slice(2).filter((word) => word.startsWith("--")));
const filter = process.argv.slice(2).find((word) => !word.startsWith("--"));
const inCi = (process.env.CI ?? "") !== "";
/** Booting a guest, building a template: minutes on a busy machine. */
const systemTestMilliseconds = 600_000;

const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const skips = [];

await step("setup", "node", ["scripts/setup.mjs"]);
const built = counts.failed === 0 && (await step("build", "node", ["scripts/build.mjs"]));
if (built) {
  if (filter === undefined) {
    await step("lint", "node", ["scripts/lint.mjs"]);
    await step("native check", "make", ["-C", "native", "--no-print-directory", "check"], { report: true });
  }
  await bunTests("unit tests", ["src", "scripts", "bench"], []);
  if (!flags.has("--unit")) {
    await bunTests("system tests", ["test"], ["--timeout", String(systemTestMilliseconds)]);
    if (flags.has("--lab") || inCi) await labTests();
  }
}
finish();

function record(kind, name) {
  counts[kind] += 1;
  if (kind === "failed") failures.push(name);
  if (kind === "skipped") skips.push(name);
}

/**
 * One program that counts as one test; with `report` as those it tells of, by its closing line or else by lines "ok
 * NAME", "not ok NAME", "SKIP NAME".
 */
async function step(name, program, args, { report = false } = {}) {
  say(`== ${name}`);
  let summary;
  const told = [];
  const status = await lines(program, args, (line) => {
    summary = readSummary(line) ?? summary;
    told.push(...readOutcome(line));
    console.log(line);
  });
  if (report && summary !== undefined) addSummary(name, summary, status);
  else if (report && told.length > 0) {
    for (const { kind, name: test } of told) record(kind, `${name}: ${test}`);
    if (status !== 0 && !told.some(({ kind }) => kind === "failed"))
      record("failed", `${name} (exit code ${status})`);
  } else record(status === 0 ? "passed" : "failed", status === 0 ? name : `${name} (exit code ${status})`);
  return status === 0;
}

function addSummary(name, summary, status) {
  for (const kind of Object.keys(counts)) counts[kind] += summary[kind];
  if (summary.failed > 0) failures.push(`${summary.failed} of ${name}, see above`);
  if (summary.skipped > 0) skips.push(`${summary.skipped} of ${name}, see above`);
  if (status !== 0 && summary.failed === 0) record("failed", `${name} (exit code ${status})`);
}

/** The tests in some directories by `bun test`; system tests run one file after the other, as bun does. */
async function bunTests(name, directories, options) {
  const files = directories.flatMap((directory) =>
    filesBelow(join(root, directory), (path) => /\.test\.(ts|mjs)$/.test(path)),
  );
  const chosen =
    filter === undefined ? files : files.filter((path) => path.slice(root.length).includes(filter));
  const byName = filter !== undefined && chosen.length === 0 ? ["-t", filter] : [];
  const paths = (byName.length > 0 ? files : chosen).map((path) => `.${path.slice(root.length)}`);
  if (paths.length === 0) return;
  say(`== ${name}`);
  const failedBefore = counts.failed;
  const report = join(mkdtempSync(join(tmpdir(), "berth-test-")), "junit.xml");
  const reporter = ["--reporter=junit", `--reporter-outfile=${report}`];
  const status = await lines(bun(), ["test", ...reporter, ...options, ...byName, ...paths], (line) => {
    // Hundreds of passes say nothing; everything else does.
    if (!/^\((pass|skip)\) |^$/.test(line)) console.log(line);
  });
  const results = existsSync(report) ? readJunit(readFileSync(report, "utf8")) : [];
  rmSync(dirname(report), { recursive: true });
  for (const { kind, name: test } of results)
    if (byName.length === 0 || kind !== "skipped") record(kind, `${name}: ${test}`);
  const nothingMatched = byName.length > 0 && results.every(({ kind }) => kind === "skipped");
  // A crash or a file that does not load fails without a test's name; a name filter may rightly match nothing.
  if (status !== 0 && counts.failed === failedBefore && !nothingMatched)
    record("failed", `${name}: bun test ended with ${status}`);
}

async function labTests() {
  if (!existsSync(join(root, "scripts/test-lab.mjs"))) {
    record("skipped", "lab: there is no scripts/test-lab.mjs");
    return;
  }
  await step("lab", "node", ["scripts/test-lab.mjs", "--ci"], { report: true });
}

/** Runs a program and hands over its output by lines, stdout and stderr alike. */
function lines(program, args, onLine) {
  // Colours off: the lines are read by a program.
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" };
  const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", onLine);
  return new Promise((done) => {
    child.on("error", (error) => {
      onLine(`${program}: ${error.message}`);
      done(127);
    });
    child.on("close", (code) => done(code ?? 128));
  });
}

function finish() {
  for (const name of skips) console.log(`SKIP ${name}`);
  for (const name of failures) console.log(`FAIL ${name}`);
  if (counts.passed + counts.failed === 0) console.log("no test was run");
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
}
