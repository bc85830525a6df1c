/** Where berth's own programs lie: beside berth as built (dist/), or in ../libexec/berth as installed. */
import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { BerthError } from "../base/errors.ts";

export type Binary =
  | "berth-launch"
  | "berth-seccomp"
  | "berth-tree"
  | "berth-audit"
  | "berth-criu.so"
  | "criu-tools/tar";

const found = new Map<Binary, string>();

/** The absolute path of one of berth's programs; `host.missing-program` when it is nowhere. */
export function binaryPath(name: Binary): string {
  const known = found.get(name);
  if (known !== undefined) return known;
  const candidates = candidatePaths(name, process.execPath, import.meta.dir);
  const path = candidates.find((candidate) => existsSync(candidate));
  if (path === undefined)
    throw new BerthError(
      "host.missing-program",
      `${name} is missing; looked for ${candidates.join(" and ")}`,
      "build it with npm run build, or install berth again",
    );
  found.set(name, path);
  return path;
}

/**
 * Where a program may lie. `executable` is the running program: the compiled berth, or bun that runs the sources
 * of which `sourceDir` is this directory.
 */
export function candidatePaths(name: Binary, executable: string, sourceDir: string): readonly string[] {
  const own = basename(executable);
  if (own === "bun" || own === "bun.exe") return [resolve(sourceDir, "../../dist", name)];
  const directory = dirname(executable);
  return [join(directory, name), resolve(directory, "../libexec/berth", name)];
}

/** How to run this berth again, as the keeper does when a guest reboots: the program and its first arguments. */
export function ownCommand(): readonly string[] {
  const own = basename(process.execPath);
  return own === "bun" || own === "bun.exe"
    ? [process.execPath, resolve(import.meta.dir, "../cli/main.ts")]
    : [process.execPath];
}
