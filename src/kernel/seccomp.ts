/** Compiled seccomp filters, cached by content and compiler: the compiler runs once for each different policy. */
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { sha256 } from "../base/digest.ts";
import { BerthError } from "../base/errors.ts";
import { makeDirs, writeAtomic } from "../base/files.ts";
import { cacheDir } from "../base/paths.ts";
import { binaryPath } from "./binaries.ts";

/** Where Debian and Ubuntu have the library: a link to a file whose name is its version. */
const libraries = ["x86_64", "aarch64"].map((machine) => `/usr/lib/${machine}-linux-gnu/libseccomp.so.2`);

/** What a filter depends on besides its policy: the compiler, and the library below it. */
export const filterSources = (): readonly string[] => [binaryPath("berth-seccomp"), ...libraries];

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

/** AUDIT_ARCH_* (linux/audit.h) and berth-seccomp's word for it. */
const auditArchitectures: ReadonlyMap<number, string> = new Map([
  [0xc000003e, "x86_64"],
  [0x40000003, "x86"],
  [0xc00000b7, "aarch64"],
  [0x40000028, "arm"],
]);

type Call = { readonly arch: number; readonly syscall: number };

/** Names of calls by architecture and number; the returned function gives undefined for what libseccomp does not know. */
export function resolveSyscalls(calls: readonly Call[]): (call: Call) => string | undefined {
  const line = ({ arch, syscall }: Call): string => `${auditArchitectures.get(arch) ?? "unknown"} ${syscall}`;
  const asked = [...new Set(calls.map(line))];
  if (asked.length === 0) return () => undefined;
  const { stdout } = Bun.spawnSync([binaryPath("berth-seccomp"), "--names"], {
    stdin: Buffer.from(`${asked.join("\n")}\n`),
    stdout: "pipe",
  });
  const answers = stdout.toString().split("\n");
  const names = new Map(asked.map((call, index) => [call, answers[index]]));
  return (call) => {
    const name = names.get(line(call));
    return name === undefined || name === "" || name === "-" ? undefined : name;
  };
}
