/** npm run build: dist/berth and the programs in C. What is up to date is left alone. */
import { existsSync, mkdirSync, renameSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { bun, dist, fail, filesBelow, isUpToDate, must, root, say } from "./project.mjs";

mkdirSync(dist, { recursive: true });
buildNative();
buildProgram();

function buildNative() {
  // make knows by itself what is up to date.
  must("make", ["-C", "native", "--no-print-directory", "--silent"]);
  const programs = ["berth", "berth-launch", "berth-seccomp", "berth-tree", "berth-audit"];
  for (const name of [...programs, "berth-criu.so", "criu-tools/tar"])
    if (!existsSync(join(dist, name))) fail(`native/Makefile did not make dist/${name}`);
}

function buildProgram() {
  const target = join(dist, "berth-cli");
  const sources = [
    ...filesBelow(join(root, "src"), (path) => !path.endsWith(".test.ts")),
    join(root, "package.json"),
    join(root, "package-lock.json"),
  ];
  if (isUpToDate(target, sources)) return;
  say("compiling dist/berth-cli");
  const begun = new Date();
  const fresh = `${target}.new-${process.pid}`;
  const flags = ["--compile", "--minify", "--bytecode", "--splitting", "--format=esm", "--outfile", fresh];
  must(bun(), ["build", ...flags, "src/cli/main.ts"], { stdio: ["ignore", "ignore", "inherit"] });
  // As old as what was read: a source that changed meanwhile is newer.
  utimesSync(fresh, begun, begun);
  // By rename: a berth that is running keeps the file it was started from.
  renameSync(fresh, target);
}
