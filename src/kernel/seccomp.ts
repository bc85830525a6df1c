/** Compiled seccomp filters, cached by content: the compiler runs once for each different policy. */
import { existsSync, readFileSync } from "node:fs";
import { sha256 } from "../base/digest.ts";
import { BerthError } from "../base/errors.ts";
import { makeDirs, writeAtomic } from "../base/files.ts";
import { cacheDir } from "../base/paths.ts";
import { binaryPath } from "./binaries.ts";

/** The filter (struct sock_filter[]) of a policy text. */
export function compiledFilter(policy: string): Uint8Array {
  const dir = `${cacheDir()}/seccomp`;
  const file = `${dir}/${sha256(policy)}.bpf`;
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
