/** Compiled seccomp filters, cached by content and compiler: the compiler runs once for each different policy. */
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { sha256 } from "../base/digest.ts";
import { BerthError } from "../base/errors.ts";
import { makeDirs, writeAtomic } from "../base/files.ts";
import { cacheDir } from "../base/paths.ts";
import { binaryPath } from "./binaries.ts";

/** Where Debian and Ubuntu have the library: a link to a file whose name is its version. */
const libraries = ["x86_64", "aarch64"].map((machine) => `/usr/lib/${machine}-linux-gnu/libseccomp.so.2`);

/** Which compiler a filter comes from: a newer one, or a newer library below it, may make another filter. */
function compilerVersion(): string {
  const { size, mtimeMs } = statSync(binaryPath("berth-seccomp"));
  const library = libraries.find((path) => existsSync(path));
  return `${size} ${mtimeMs} ${library === undefined ? "" : realpathSync(library)}`;
}

/** The filter (struct sock_filter[]) of a policy text. */
export function compiledFilter(policy: string): Uint8Array {
  const dir = `${cacheDir()}/seccomp`;
  const file = `${dir}/${sha256(`${compilerVersion()}\n${policy}`)}.bpf`;
  if (existsSync(file)) return readFileSync(file);
  const { exitCode, stdout, stderr } = Bun.spawnSync([binaryPath("berth-seccomp")], {
    stdin: Buffer.from(policy),
    stdout: "pipe",
    stderr: "pipe",
  });
  if (exitCode !== 0 || stdout.length === 0) {
    throw new BerthError(
      "host.command-failed",
      `berth-seccomp: ${stderr.toString().trim()}`,
      "this is a defect of berth's policy; please report it",
    );
  }
  makeDirs(dir);
  writeAtomic(file, stdout);
  return stdout;
}
