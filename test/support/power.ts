/** What breaks of one of two hosts: its power, CRIU at work, its disk. */
import { readdirSync, readFileSync, rmSync, statfsSync, symlinkSync } from "node:fs";
import { instanceOf } from "../../src/base/paths.ts";
import { cgroupLayout } from "../../src/resources/layout.ts";
import { removeCgroup } from "../../src/resources/tree.ts";
import type { Host } from "./two-hosts.ts";
import { run, templateCache, until } from "./world.ts";

type Process = {
  readonly pid: number;
  readonly command: string;
  readonly parent: number;
  readonly cgroup: string;
};

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // it has ended
  }
}

/** Processes that match; those that have ended and wait for their parent do not count. */
function processes(match: (one: Process) => boolean): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => {
      const [state = "", parent = ""] = read(`/proc/${entry}/stat`)
        .replace(/^.*\) /, "")
        .split(" ");
      const command = state === "Z" ? "" : read(`/proc/${entry}/cmdline`);
      return { pid: Number(entry), command, parent: Number(parent), cgroup: read(`/proc/${entry}/cgroup`) };
    })
    .filter((one) => one.command !== "" && match(one))
    .map(({ pid }) => pid);
}

const belongsTo = ({ world: { root, at } }: Host, { pid, cgroup }: Process): boolean =>
  cgroup.includes(`/${at.cgroup}/`) ||
  cgroup.includes(`/${at.cgroup}\n`) ||
  read(`/proc/${pid}/environ`).split("\0").includes(`BERTH_ROOT=${root}`);

/** Everything that runs on the host: berth, keepers, guests. */
export const processesOf = (host: Host): number[] => processes((one) => belongsTo(host, one));

export function kill9(pids: readonly number[]): void {
  for (const pid of pids)
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It was faster.
    }
}

/** CRIU at work: writing a guest of the host down, as a child of that command, or bringing one back. */
export const criuOf = (host: Host): number[] =>
  processes(
    (one) =>
      /^(?!.*berth-launch).*\0swrk\0/.test(one.command) &&
      (belongsTo(host, one) || isBelow(host, one.parent)),
  );

function isBelow(host: Host, pid: number): boolean {
  if (pid <= 1) return false;
  const parent = Number(
    read(`/proc/${pid}/stat`)
      .replace(/^.*\) /, "")
      .split(" ")[1],
  );
  return read(`/proc/${pid}/environ`).includes(`BERTH_ROOT=${host.world.root}\0`) || isBelow(host, parent);
}

/** Takes its power and boots it: nothing runs there, /run, mounts, cgroups, links and rules are gone; its disk is as it was. */
export async function powerCut(host: Host): Promise<void> {
  const { at, root } = host.world;
  await until(
    "all processes to be gone",
    () => {
      const left = processesOf(host);
      kill9(left);
      return left.length === 0;
    },
    10_000,
  );
  for (const line of read("/proc/self/mounts").split("\n").reverse()) {
    const [, target = ""] = line.split(" ");
    if (target.startsWith(`${root}/`) && target !== at.lib) await run(["umount", "-l", target]);
  }
  const { v1, v2 } = cgroupLayout();
  for (const mount of [...v1.map(({ mount }) => mount), ...(v2 === undefined ? [] : [v2])])
    removeCgroup(`${mount}/${at.cgroup}`);
  rmSync(at.run, { recursive: true, force: true });
  await run([...host.within, "nft", "flush", "ruleset"]);
  for (const link of await guestLinks(host)) await run(["ip", "-n", host.netns, "link", "del", link]);
}

/** The host's ends of its guests' links. */
export async function guestLinks({ netns, world }: Host): Promise<string[]> {
  const { stdout } = await run(["ip", "-n", netns, "-o", "link", "show"]);
  return [...stdout.matchAll(/^\d+: ([^:@]+)/gm)]
    .map(([, name = ""]) => name)
    .filter((name) => name.startsWith(world.at.linkPrefix) && name !== world.at.bridge);
}

/** Gives the host a disk of a size. Only before it is used. */
export async function giveDisk({ world: { at } }: Host, size: string): Promise<void> {
  const { code, stderr } = await run([
    "mount",
    "-t",
    "tmpfs",
    "-o",
    `size=${size},mode=755`,
    "t-disk",
    at.lib,
  ]);
  if (code !== 0) throw new Error(stderr);
  symlinkSync(`${instanceOf(templateCache).lib}/templates`, `${at.lib}/templates`);
}

export const takeDisk = async ({ world: { at } }: Host): Promise<void> =>
  void (await run(["umount", "-l", at.lib]));

/** Fills its disk but for so many bytes; gives a way to make room again. */
export async function fillDisk({ world: { at } }: Host, rest: number): Promise<() => void> {
  const file = `${at.lib}/filler`;
  const { bsize, bfree } = statfsSync(at.lib);
  await run(["fallocate", "-l", String(Math.max(bsize, bfree * bsize - rest)), file]);
  return () => rmSync(file, { force: true });
}
