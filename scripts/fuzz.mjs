/**
 * npm run fuzz [-- SECONDS]: every fuzzer for so long (600 when not given): the C's by libFuzzer where clang is installed, else by
 * mutation of their seeds; the TypeScript's properties by fast-check. What an input broke belongs into native/test/corpus/TARGET/,
 * where `npm test` tries it again each time. Its last line is "N passed, N failed".
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bun, fail, filesBelow, must, root, say } from "./project.mjs";

const seconds = Number(process.argv[2] ?? 600);
if (!Number.isInteger(seconds) || seconds < 1)
  fail(`${process.argv[2]} is not a number of seconds`, "npm run fuzz -- 60");

const counts = { passed: 0, failed: 0 };
must("node", ["scripts/setup.mjs"]);
fuzzNative();
fuzzProperties();
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 ? 1 : 0;

function count(name, passed) {
  counts[passed ? "passed" : "failed"] += 1;
  console.log(`${passed ? "ok" : "not ok"} ${name}`);
}

function run(program, args, env = {}) {
  return (
    spawnSync(program, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } }).status === 0
  );
}

function fuzzNative() {
  const make = ["-C", "native/test", "--no-print-directory"];
  if (spawnSync("clang", ["--version"]).status === 0) {
    count("libFuzzer", run("make", [...make, "fuzz", `SECONDS=${seconds}`]));
    return;
  }
  say("clang is not installed: mutations of the seeds instead (apt-get install clang for libFuzzer)");
  const targets = readdirSync(join(root, "native/test"))
    .map((file) => /^(fuzz_\w+)\.c$/.exec(file)?.[1])
    .filter((name) => name !== undefined);
  count("building the fuzzers", run("make", [...make, ...targets.map((name) => `../../build/test/${name}`)]));
  for (const name of targets) count(name, mutateFor(join(root, "build/test", name)));
}

/** Rounds of mutations, each from another seed, until the time is up. */
function mutateFor(program) {
  const end = Date.now() + seconds * 1000;
  for (let seed = Date.now() % 1_000_000_007; Date.now() < end; seed += 1) {
    const { status, stdout, stderr } = spawnSync(program, ["--mutate", "200000", String(seed)]);
    if (status === 0) continue;
    console.log(`${stdout}${stderr}\nagain: ${program} --mutate 200000 ${seed}`);
    return false;
  }
  return true;
}

function fuzzProperties() {
  const files = filesBelow(join(root, "src")).filter(
    (file) => file.endsWith(".test.ts") && readFileSync(file, "utf8").includes('from "fast-check"'),
  );
  for (const file of files) {
    const args = [
      "test",
      "--preload",
      "./scripts/fuzz-preload.ts",
      "--timeout",
      String((seconds + 60) * 1000),
      file,
    ];
    count(file.slice(root.length + 1), run(bun(), args, { BERTH_FUZZ_SECONDS: String(seconds) }));
  }
}
