/** The driver for this host, found by looking. */
import { existsSync, rmdirSync } from "node:fs";
import { basename } from "node:path";
import { BerthError } from "../base/errors.ts";
import { instance } from "../base/paths.ts";
import type { CgroupDriver } from "./driver.ts";
import { cgroupLayout, limitsOnV2 } from "./layout.ts";
import { makeCgroup } from "./tree.ts";
import { v1Driver } from "./v1.ts";
import { type TopCgroup, v2Driver } from "./v2.ts";

let driver: CgroupDriver | undefined;

/** The cgroup driver of this host. Throws host.missing-feature where there are no cgroups at all. */
export function cgroups(): CgroupDriver {
  driver ??= open();
  return driver;
}

function open(): CgroupDriver {
  const layout = cgroupLayout();
  if (limitsOnV2(layout) && layout.v2 !== undefined) {
    const parts = { ...layout, v2: layout.v2 };
    return inSlice()
      ? v2Driver(parts, `${instance.cgroup}.slice`, slice)
      : v2Driver(parts, instance.cgroup, directory);
  }
  if (layout.v1.length > 0) return v1Driver(layout, instance.cgroup);
  throw new BerthError(
    "host.missing-feature",
    "this host has no cgroups mounted",
    "mount cgroup2 on /sys/fs/cgroup",
  );
}

/**
 * On systemd hosts berth's own instance lives in a slice that systemd knows, so that it leaves the controllers on;
 * an instance of its own (BERTH_ROOT) makes a plain directory.
 */
const inSlice = (): boolean => instance.tag === "" && existsSync("/run/systemd/system");

const directory: TopCgroup = { make: makeCgroup, remove: (path) => rmdirSync(path) };

const slice: TopCgroup = {
  make: (path) => {
    if (!existsSync(path)) systemctl("start", basename(path));
  },
  remove: (path) => systemctl("stop", basename(path)),
};

function systemctl(verb: "start" | "stop", unit: string): void {
  const { exitCode, stderr } = Bun.spawnSync(["systemctl", verb, unit], { stdin: "ignore" });
  if (exitCode === 0) return;
  throw new BerthError(
    "host.command-failed",
    `systemctl ${verb} ${unit}: ${stderr.toString().trim()}`,
    `look at \`systemctl status ${unit}\``,
  );
}
