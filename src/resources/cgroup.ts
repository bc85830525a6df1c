/** The driver for this host, found by looking. */
import { existsSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { instance } from "../base/paths.ts";
import type { CgroupDriver } from "./driver.ts";
import { cgroupLayout, limitsOnV2 } from "./layout.ts";
import { v1Driver } from "./v1.ts";
import { v2Driver } from "./v2.ts";

let driver: CgroupDriver | undefined;

/** The cgroup driver of this host. Throws host.missing-feature where there are no cgroups at all. */
export function cgroups(): CgroupDriver {
  driver ??= open();
  return driver;
}

function open(): CgroupDriver {
  const layout = cgroupLayout();
  if (limitsOnV2(layout) && layout.v2 !== undefined) {
    return v2Driver({ ...layout, v2: layout.v2 }, systemdSlice(layout.v2));
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
function systemdSlice(v2: string): string {
  if (instance.tag !== "" || !existsSync("/run/systemd/system")) return instance.cgroup;
  const slice = `${instance.cgroup}.slice`;
  if (!existsSync(`${v2}/${slice}`)) {
    const { exitCode, stderr } = Bun.spawnSync(["systemctl", "start", slice], { stdin: "ignore" });
    if (exitCode !== 0) {
      throw new BerthError(
        "host.command-failed",
        `systemctl start ${slice}: ${stderr.toString().trim()}`,
        "look at `systemctl status berth.slice`",
      );
    }
  }
  return slice;
}
