/** What the scripts share: where things are, running programs, the bun of this project. Plain Node, no dependencies. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
export const dist = join(root, "dist");

/** One line about what is done; to stderr, so that stdout stays for results. */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

/** Ends the script with a message and what to do about it. */
export function fail(message, hint = "") {
  process.stderr.write(`${message}\n${hint === "" ? "" : `  ${hint}\n`}`);
  process.exit(1);
}

/** Runs a program with our terminal. Returns its exit code; a program that is not there is 127. */
export function run(program, args, options = {}) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: "inherit", ...options });
  if (error !== undefined && error.code === "ENOENT") return 127;
  if (error !== undefined) throw error;
  return status ?? 128;
}

/** As `run`, but its failure ends the script. */
export function must(program, args, options = {}) {
  const status = run(program, args, options);
  if (status !== 0) fail(`failed with ${status}: ${program} ${args.join(" ")}`);
}

/** stdout of a program, or undefined when it failed or is not there. */
export function output(program, args, options = {}) {
  const { status, stdout } = spawnSync(program, args, { cwd: root, encoding: "utf8", ...options });
  return status === 0 ? stdout : undefined;
}

/**
 * The bun that package.json pins, by its real file: npm may have been told to run no install scripts, then
 * node_modules/.bin/bun is a stub and the platform's package holds the program. Undefined before `npm ci`.
 */
export function findBun() {
  const architecture = process.arch === "arm64" ? "aarch64" : "x64";
  const packages = [`bun-linux-${architecture}`, `bun-linux-${architecture}-musl`];
  const candidates = [
    ...packages.map((name) => join(root, "node_modules/@oven", name, "bin/bun")),
    join(root, "node_modules/bun/bin/bun.exe"),
  ];
  // The stub is a text of some hundred bytes.
  return candidates.find((path) => existsSync(path) && statSync(path).size > 1_000_000);
}

export function bun() {
  const path = findBun();
  if (path === undefined) fail("bun is not installed", "run: npm run setup");
  return path;
}

/** A development tool from node_modules that Node runs. */
export function tool(name) {
  const path = join(root, "node_modules/.bin", name);
  if (!existsSync(path)) fail(`${name} is not installed`, "run: npm run setup");
  return path;
}

/** Every file below a directory that `wanted(path)` picks; nothing when there is no such directory. */
export function filesBelow(directory, wanted = () => true) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesBelow(path, wanted);
    return entry.isFile() && wanted(path) ? [path] : [];
  });
}

/** Whether `target` exists and none of `sources` is newer. */
export function isUpToDate(target, sources) {
  if (!existsSync(target)) return false;
  const made = statSync(target).mtimeMs;
  return sources.every((path) => statSync(path).mtimeMs <= made);
}
