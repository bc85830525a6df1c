/** What stays on the host for a guest that idles. */
import { readdirSync, readFileSync } from "node:fs";
import { keepers } from "../../test/support/world.ts";
import type { Bench } from "../bench.ts";

/** Fills "keeper PSS" and "lxc monitor PSS" in KiB, mean of some guests side by side. */
export async function keeper({ world, lxc, berth, samples }: Bench): Promise<void> {
  const names = Array.from({ length: 8 }, (_, at) => `idle-${at}`);
  for (const name of names) {
    berth("create", name, "-t", "busybox", "--storage", "plain", "--start");
    lxc.run("copy", "-n", "busybox", "-N", name, "-s", "-B", "overlay");
    lxc.run("start", "-n", name, "-d");
  }
  await Bun.sleep(1000);
  for (const pid of keepers(world.at)) samples.add("keeper PSS", pss(pid));
  for (const pid of lxcMonitors(lxc.path)) samples.add("lxc monitor PSS", pss(pid));
  for (const name of names) {
    berth("rm", "--force", name);
    lxc.run("stop", "-k", "-n", name);
    lxc.run("destroy", "-n", name);
  }
}

/** Proportional set size in KiB. */
const pss = (pid: string): number =>
  Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? Number.NaN);

/** Monitors set their title to "[lxc monitor] PATH NAME". */
function lxcMonitors(path: string): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(`[lxc monitor] ${path}`);
      } catch {
        return false;
      }
    });
}
