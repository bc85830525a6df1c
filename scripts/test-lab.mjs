// npm run test:lab -- [FILTER]: the tests in lab/test on lab hosts, one line for each. FILTER is part of a file's name or,
// when no file has it, of a test's. --ci leaves out what CI has no time for. BERTH_LAB_LIMIT (minutes, default 40) ends a run
// that hangs.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const project = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "..");
const bun = join(project, "node_modules/.bin/bun");
const words = process.argv.slice(2);
const ci = words.includes("--ci");
const minutes = Number(process.env.BERTH_LAB_LIMIT ?? 40);
const testMilliseconds = 600_000;

skipElsewhere();
installPackages();
const child = spawn(
  bun,
  ["test", "--timeout", String(testMilliseconds), ...selection(words.find((word) => !word.startsWith("--")))],
  {
    cwd: project,
    env: { ...process.env, ...(ci ? { BERTH_LAB_CI: "1" } : {}) },
    stdio: ["ignore", "pipe", "pipe"],
  },
);
const counts = { passed: 0, failed: 0, skipped: 0 };
const outcomes = { "(pass)": "passed", "(fail)": "failed", "(skip)": "skipped", "(todo)": "skipped" };
let ended = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill("SIGKILL"));
const limit = setTimeout(() => {
  console.log(`FAIL the whole run: not done within ${minutes} minutes`);
  counts.failed += 1;
  child.kill("SIGKILL");
}, minutes * 60_000);

createInterface({ input: child.stdout }).on("line", showLine);
createInterface({ input: child.stderr }).on("line", showLine);
child.on("close", (code) => {
  clearTimeout(limit);
  if (code !== 0 && counts.failed === 0) counts.failed += 1;
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exit(counts.failed === 0 ? 0 : 1);
});

function skipElsewhere() {
  if (process.platform === "linux" && process.arch === "x64") return;
  console.log(
    `skip all lab tests SKIP: they need Linux on x86-64, this is ${process.platform} on ${process.arch}`,
  );
  console.log("0 passed, 0 failed, 1 skipped");
  process.exit(0);
}

function installPackages() {
  if (existsSync(bun)) return;
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: project, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

function selection(filter) {
  const dir = join(project, "lab/test");
  const files = readdirSync(dir).filter((name) => name.endsWith(".test.ts"));
  const named = filter === undefined ? files : files.filter((name) => name.includes(filter));
  const paths = (names) => names.map((name) => `./lab/test/${name}`);
  return named.length > 0 ? paths(named) : [...paths(files), "-t", filter];
}

// A skipped test tells why in its name, after "SKIP:". At its end bun repeats what failed: that is not shown again.
function showLine(line) {
  if (/^\d+ tests? (failed|skipped)/.test(line) || /^\s*\d+ pass$/.test(line)) ended = true;
  if (ended || /^\s*$|^bun test v/.test(line)) return;
  const [, mark, rest] = /^(\((?:pass|fail|skip|todo)\)) (.*)$/.exec(line) ?? [];
  if (mark === undefined) {
    console.log(line);
    return;
  }
  counts[outcomes[mark]] += 1;
  console.log(`${{ passed: "ok  ", failed: "FAIL", skipped: "skip" }[outcomes[mark]]} ${rest}`);
}
