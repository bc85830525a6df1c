/** What the tests of this room share: an instance of their own below /tmp, and a small file system that can be full. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { release } from "node:os";
import { readIfExists } from "../base/files.ts";
import { instance } from "../base/paths.ts";
import { runProgram } from "../kernel/run.ts";

/** Tests that need a kernel's help and root's rights say SKIP elsewhere. */
export const isRoot: boolean = process.getuid?.() === 0;

/** What this kernel lacks for simple quota of btrfs, or undefined. Told by its version: a probe that is wrong must not skip its own tests. */
export function btrfsGap(): string | undefined {
  if (!isRoot) return "needs root";
  const [major = 0, minor = 0] = release().split(".").map(Number);
  if (major < 6 || (major === 6 && minor < 7)) return `Linux ${release()} is older than 6.7`;
  return /\tbtrfs$/m.test(readIfExists("/proc/filesystems") ?? "") ? undefined : "the kernel has no btrfs";
}

/**
 * Points this process's instance to `root`. Bun reads BERTH_ROOT when paths.ts is loaded, which all test files of a
 * run share: so the instance is moved, not the environment.
 */
export function useRoot(root: string): void {
  const movable: Record<"etc" | "lib" | "run" | "log", string> = instance;
  movable.etc = `${root}/etc`;
  movable.lib = `${root}/var/lib`;
  movable.run = `${root}/run`;
  movable.log = `${root}/var/log`;
}

/** A directory of its own below /tmp, and what removes it. */
export function temporaryRoot(): { readonly root: string; readonly drop: () => void } {
  const root = mkdtempSync("/tmp/t-storage-");
  return { root, drop: () => rmSync(root, { recursive: true, force: true }) };
}

/** Mounts a tmpfs of that many bytes on `at`: a disk that is soon full. Gives what unmounts it. */
export async function smallDisk(at: string, bytes: number): Promise<() => Promise<void>> {
  mkdirSync(at, { recursive: true });
  await mustRunMount(["mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", at]);
  return () => mustRunMount(["umount", at]);
}

async function mustRunMount(argv: readonly string[]): Promise<void> {
  const { code, stderr } = await runProgram(argv, { package: "mount" });
  if (code !== 0) throw new Error(`${argv.join(" ")}: ${stderr.trim()}`);
}
