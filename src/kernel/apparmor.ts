/**
 * AppArmor's profiles of guests: compiled by apparmor_parser once for each different text, kept, and given to the
 * kernel under a container's own name without the parser, which would cost more than the rest of a start.
 */
import { closeSync, existsSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { release, version } from "node:os";
import { sha256 } from "../base/digest.ts";
import { BerthError, errnoOf } from "../base/errors.ts";
import { makeDirs, readIfExists, writeAtomic } from "../base/files.ts";
import { cacheDir } from "../base/paths.ts";

const KERNEL = "/sys/kernel/security/apparmor";
/** A name written here takes the profile out of the kernel. */
export const removeFile = `${KERNEL}/.remove`;
/** Where a profile is written that the kernel is to have. */
export const replaceFile = `${KERNEL}/.replace`;
/** Whether one of them is there decides whether guests get a profile. */
export const PARSERS = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"] as const;

/** off: the kernel runs without. no-parser: nobody can compile a profile. */
export type ApparmorState = "on" | "off" | "no-parser";

/** Whether this host can confine guests by AppArmor. */
export function apparmorState(): ApparmorState {
  if (readIfExists("/sys/module/apparmor/parameters/enabled")?.trim() !== "Y") return "off";
  if (!existsSync(replaceFile)) return "off";
  return parser() === undefined ? "no-parser" : "on";
}

const parser = (): string | undefined => PARSERS.find((path) => existsSync(path));

/** What the compiled form depends on besides the text: the parser, and what this kernel asks about. */
function compilerVersion(path: string): string {
  const { size, mtimeMs } = statSync(path);
  return `${size} ${mtimeMs} ${release()} ${version()}`;
}

/** Compiles the first of the texts that the parser understands, or finds it compiled. */
function compiledProfile(texts: readonly string[]): Uint8Array {
  const program = parser();
  if (program === undefined)
    throw new BerthError(
      "host.missing-program",
      "apparmor_parser is not installed",
      "apt-get install apparmor",
    );
  const dir = `${cacheDir()}/apparmor`;
  const file = `${dir}/${sha256(`${compilerVersion(program)}\n${texts.join("\n")}`)}.bin`;
  if (existsSync(file)) return readFileSync(file);
  let said = "";
  for (const text of texts) {
    // Compiled for all that this kernel asks about; the host's parser.conf may ask for less.
    const flags = ["-q", "-Q", "-K", "-S", "--config-file", "/dev/null", "-M", `${KERNEL}/features`];
    const { exitCode, stdout, stderr } = Bun.spawnSync([program, ...flags], {
      stdin: Buffer.from(text),
      stdout: "pipe",
      stderr: "pipe",
      env: { LC_ALL: "C.UTF-8" },
    });
    if (exitCode === 0 && stdout.length > 0) {
      makeDirs(dir);
      writeAtomic(file, stdout);
      return stdout;
    }
    said = stderr.toString().trim();
  }
  throw new BerthError(
    "host.command-failed",
    `apparmor_parser: ${said}`,
    "`berth set NAME --apparmor none` starts the container without a profile",
  );
}

/** The compiled profile under `name`; the texts have it under `placeholder`, of the same length, which stands once in the compiled form. */
export function profileOf(texts: readonly string[], placeholder: string, name: string): Uint8Array {
  const policy = Buffer.from(compiledProfile(texts));
  const at = policy.indexOf(placeholder);
  if (at < 0 || name.length !== placeholder.length || policy.indexOf(placeholder, at + 1) >= 0)
    throw new Error(`the compiled profile does not hold ${placeholder} once`);
  policy.write(name, at, "latin1");
  return policy;
}

/** Loads the profile of profileOf(). Replaces one of that name, also that of a running guest. */
export function loadProfile(policy: Uint8Array): void {
  const fd = openSync(replaceFile, "w");
  try {
    writeSync(fd, policy); // the kernel takes a profile in one write
  } finally {
    closeSync(fd);
  }
}

/** The directory that stands for a namespace of profiles below the host's own. */
export const namespaceDir = (name: string): string => `${KERNEL}/policy/namespaces/${name}`;

/** Makes a namespace of profiles below the host's own; one that is there is fine. */
export const makeNamespace = (name: string): void => makeDirs(namespaceDir(name));

/** Takes a profile, or by `:NAME:` a namespace with all its profiles, out of the kernel; one that is not there is fine. */
export function unloadProfile(name: string): void {
  try {
    const fd = openSync(removeFile, "w");
    try {
      writeSync(fd, name);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** The label a process runs under, as /proc has it: "berth-… (enforce)"; undefined where no module gives one. */
export function labelOf(pid: number): string | undefined {
  for (const file of ["apparmor/current", "current"]) {
    try {
      const text = readFileSync(`/proc/${pid}/attr/${file}`, "utf8").replace(/[\0\n]+$/, "");
      if (text !== "") return text;
    } catch {}
  }
  return undefined;
}

/** Says whether SELinux enforces, where it is there. */
export const selinuxFile = "/sys/fs/selinux/enforce";

/** Whether SELinux is there and enforces. */
export const selinuxEnforces = (): boolean => readIfExists(selinuxFile)?.trim() === "1";
