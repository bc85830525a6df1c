/** What the tests of this room share: an instance of their own below /tmp, and a small file system that can be full. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { readIfExists } from "../base/files.ts";
import { instance } from "../base/paths.ts";
import type { PlanRecord } from "../kernel/plan.ts";
import { runProgram } from "../kernel/run.ts";
import type { StorageDriver } from "./driver.ts";

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

export type OverlayPlace = {
  /** A scratch directory. */
  readonly at: string;
  readonly volume: string;
  /** From top to bottom. */
  readonly layers: readonly string[];
  /** The lowest directory. */
  readonly lower: string;
};

/**
 * Runs a shell script in the root that a guest would have, mounted as the driver's records say in a mount namespace of its
 * own; gives what it prints, and fails with that when it fails.
 */
export async function inOverlay(
  driver: StorageDriver,
  { at, volume, layers, lower }: OverlayPlace,
  script: string,
): Promise<string> {
  const lowers = [...layers.map((_, number) => `${at}/v${number + 1}/upper`), lower].join(":");
  const options = `lowerdir=${lowers},upperdir=${at}/v0/upper,workdir=${at}/v0/work,index=on,nfs_export=on,redirect_dir=on,metacopy=off`;
  const lines = [
    "set -e",
    ...driver.mountRecords(volume, "v0").map((record) => mountLine(record, at)),
    ...layers.flatMap((id, number) =>
      driver.mountRecords(id, `v${number + 1}`, "ro").map((record) => mountLine(record, at)),
    ),
    `mkdir -p ${at}/root && mount -t overlay -o ${options} overlay ${at}/root && cd ${at}/root`,
    script,
  ];
  const { code, stdout, stderr } = await runProgram(
    ["unshare", "--mount", "--propagation=private", "sh", "-c", lines.join("\n")],
    { package: "util-linux" },
  );
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}${stdout}`);
  return stdout.trim();
}

/** What berth-launch does with a record of a volume, in mount(8)'s words. */
function mountLine([operation, as, source, ...rest]: PlanRecord, at: string): string {
  const place = `${at}/${as}`;
  if (operation === "bind") return `mkdir -p ${place} && mount --bind ${source} ${place}`;
  const [type, options] = rest;
  return `mkdir -p ${place} && mount -t ${type} -o loop,${options} ${source} ${place}`;
}

async function mustRunMount(argv: readonly string[]): Promise<void> {
  const { code, stderr } = await runProgram(argv, { package: "mount" });
  if (code !== 0) throw new Error(`${argv.join(" ")}: ${stderr.trim()}`);
}

/** Writes files beginning with `path` until nothing more can be written. */
export function fill(path: string): void {
  for (let size = 1 << 16; size >= 1; size >>= 1)
    for (let i = 0; ; i += 1)
      try {
        writeFileSync(`${path}-${size}-${i}`, Buffer.alloc(size));
      } catch {
        break;
      }
}
