/** Programs of the host that storage needs, each with the package that brings it. */
import { BerthError, type ErrorCode } from "../base/errors.ts";
import { type RunResult, runProgram } from "../kernel/run.ts";

const packages = {
  mke2fs: "e2fsprogs",
  e2fsck: "e2fsprogs",
  resize2fs: "e2fsprogs",
  tune2fs: "e2fsprogs",
  "mkfs.xfs": "xfsprogs",
  xfs_growfs: "xfsprogs",
  "mkfs.btrfs": "btrfs-progs",
  btrfs: "btrfs-progs",
  losetup: "mount",
  mount: "mount",
  umount: "mount",
  blkid: "util-linux",
  fstrim: "util-linux",
  dd: "coreutils",
  cp: "coreutils",
  du: "coreutils",
  rm: "coreutils",
  sync: "coreutils",
  modprobe: "kmod",
  mmdebstrap: "mmdebstrap",
  unshare: "util-linux",
  setpriv: "util-linux",
  prlimit: "util-linux",
  gzip: "gzip",
  bzip2: "bzip2",
  xz: "xz-utils",
  zstd: "zstd",
  sqfs2tar: "squashfs-tools-ng",
  gpgv: "gpgv",
  "apt-config": "apt",
} as const;

export type ProgramName = keyof typeof packages;

const endWithUs: ReadonlySet<ProgramName> = new Set(["e2fsck", "resize2fs"]);

// cron and sudo hand down a PATH without sbin, where mke2fs lives.
export const programPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The program's path, or undefined when the host lacks it. */
export function findProgram(name: ProgramName): string | undefined {
  return Bun.which(name, { PATH: programPath }) ?? undefined;
}

/** The program's path; host.missing-program names the package. */
export function needProgram(name: ProgramName): string {
  const path = findProgram(name);
  if (path === undefined)
    throw new BerthError(
      "host.missing-program",
      `the program ${name} is not installed`,
      `apt-get install ${packages[name]}`,
    );
  return path;
}

/** "mke2fs (package e2fsprogs)". */
export function describeProgram(name: ProgramName): string {
  return `${name} (package ${packages[name]})`;
}

/** Runs a program in the C locale and gives its output, whatever its exit code. */
export async function run(
  name: ProgramName,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<RunResult> {
  const argv = [needProgram(name), ...args];
  // If we are killed it must not go on behind the back of whoever repairs the image next.
  const bound = endWithUs.has(name) ? [needProgram("setpriv"), "--pdeathsig=KILL", ...argv] : argv;
  return runProgram(bound, { package: packages[name], env });
}

/** Fails with `code` (or host.no-space when that is the reason) saying what was being done and the program's last words. */
export function programError(code: ErrorCode, doing: string, name: ProgramName, ran: RunResult): BerthError {
  const words = ran.stderr.trim() === "" ? ran.stdout : ran.stderr;
  const last = words.trim().split("\n").slice(-3).join("; ") || `exit code ${ran.code}`;
  if (/no space left|disk quota exceeded/i.test(words))
    return new BerthError(
      "host.no-space",
      `${doing}: no space left on the device (ENOSPC)`,
      "free some space on the file system that holds it, then try again",
      new Error(`${name}: ${last}`),
    );
  return new BerthError(code, `${doing}: ${name}: ${last}`);
}

/** Runs a program that must succeed. */
export async function must(
  code: ErrorCode,
  doing: string,
  name: ProgramName,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<RunResult> {
  const ran = await run(name, args, env);
  if (ran.code !== 0) throw programError(code, doing, name, ran);
  return ran;
}

/** Like `must`, for the rare program that a call which cannot wait depends on. */
export function mustSync(code: ErrorCode, doing: string, name: ProgramName, args: readonly string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([needProgram(name), ...args], {
    stdin: "ignore",
    env: { PATH: programPath, LC_ALL: "C.UTF-8" },
  });
  if (exitCode === 0) return stdout.toString();
  throw programError(code, doing, name, {
    code: exitCode,
    stdout: stdout.toString(),
    stderr: stderr.toString(),
  });
}
