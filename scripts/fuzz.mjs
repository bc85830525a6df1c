/**
 * npm run fuzz [-- SECONDS]: every fuzzer for so long (600 when not given): the C's by libFuzzer, which is installed with clang
 * where root runs it and apt has it, else by mutation of their seeds; the TypeScript's properties by fast-check. What an input broke belongs into native/test/corpus/TARGET/,
 * where `npm test` tries it again each time. Its last line is "N passed, N failed".
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { tryInstallPackages } from "./packages.mjs";
import { bun, fail, filesBelow, must, output, root, say } from "./project.mjs";

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
  const missing = missingForLibFuzzer();
  if (missing === undefined) {
    count("libFuzzer", run("make", [...make, "fuzz", `SECONDS=${seconds}`]));
    return;
  }
  say(`no libFuzzer, mutations of the seeds instead: ${missing}`);
  const targets = readdirSync(join(root, "native/test"))
    .map((file) => /^(fuzz_\w+)\.c$/.exec(file)?.[1])
    .filter((name) => name !== undefined);
  count("building the fuzzers", run("make", [...make, ...targets.map((name) => `../../build/test/${name}`)]));
  for (const name of targets) count(name, mutateFor(join(root, "build/test", name)));
}

/** What keeps clang from building a fuzzer, once what apt has of it is installed. */
function missingForLibFuzzer() {
  if (linksFuzzers()) return undefined;
  if (!tryInstallPackages(["clang"])) return "package clang is missing (apt-get install clang, as root)";
  const version = output("clang", ["-dumpversion"]);
  if (version === undefined) return "clang does not run";
  const library = `libclang-rt-${version.split(".")[0]}-dev`;
  if (!tryInstallPackages([library])) return `package ${library} is missing`;
  return linksFuzzers() ? undefined : "clang cannot link with -fsanitize=fuzzer";
}

/** libFuzzer is a library of its own, which clang may have come without. */
function linksFuzzers() {
  const out = join(root, "build/fuzz/probe");
  mkdirSync(join(root, "build/fuzz"), { recursive: true });
  const input = "int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n > 9; }";
  const words = ["-x", "c", "-fsanitize=fuzzer,address,undefined", "-o", out, "-"];
  return spawnSync("clang", words, { input }).status === 0;
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
