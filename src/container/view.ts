/** What `ls` and `info` show: the kernel's figures beside the limits. */
import type { BerthError } from "../base/errors.ts";
import { asBerthError } from "../base/errors.ts";
import { readIfExists } from "../base/files.ts";
import { trace } from "../base/trace.ts";
import { warn } from "../base/warning.ts";
import type { ContainerConfig } from "../config/schema.ts";
import type { DriverName } from "../config/storage-drivers.ts";
import { mountTable } from "../kernel/mounts.ts";
import { cgroups } from "../resources/cgroup.ts";
import type { Usage } from "../resources/driver.ts";
import { type DiskUse, diskOf } from "./disk.ts";
import { mountPoints } from "./mounted.ts";
import { containerNames } from "./name.ts";
import { watchPools } from "./pool-watch.ts";
import { recoverIdle } from "./recover.ts";
import { type Status, statusOf } from "./status.ts";
import { type ContainerState, loadConfig, loadState } from "./store.ts";

export type View = {
  readonly name: string;
  readonly config: ContainerConfig;
  readonly state: ContainerState;
  readonly status: Status;
  readonly usage: Usage | undefined;
  /** Of one that runs. */
  readonly disk: DiskUse | undefined;
  /** Where on the host its root is mounted, which keeps it from starting. */
  readonly mounted: readonly string[];
  /** Seconds since init started. */
  readonly uptime: number | undefined;
};

/** A container that cannot be read is shown with what is wrong with it, not left out. */
export type BrokenView = { readonly name: string; readonly broken: BerthError; readonly running: boolean };

/** Clock ticks a second in /proc/PID/stat: USER_HZ, 100 on every architecture we run on. */
const USER_HZ = 100;

const sinceBoot = (): number => Number(readIfExists("/proc/uptime")?.split(" ")[0] ?? 0);

export function viewOf(name: string, table?: string): View {
  const status = statusOf(name);
  const running = status.state !== "stopped";
  const [config, state] = [loadConfig(name), loadState(name)];
  return {
    name,
    config,
    state,
    status,
    disk: running ? diskOf({ name, config, state, status }) : undefined,
    mounted: running ? [] : mountPoints({ name, state }, table),
    usage: running ? cgroups().usage(name) : undefined,
    uptime: running ? Math.max(0, sinceBoot() - status.init.startTime / USER_HZ) : undefined,
  };
}

/** All containers, or those named. What was cut short is recovered first where nobody works on it. */
export async function viewAll(names: readonly string[] = containerNames()): Promise<(View | BrokenView)[]> {
  await recoverIdle(names);
  trace("containers found");
  const there = new Set(containerNames());
  const views = names.filter((name) => there.has(name)).map(viewWith(mountTable()));
  trace(`${views.length} containers read`);
  watchDisks();
  return views;
}

/** Warns of pools whose disk fails, and notes it in the events of the containers that lie there. */
export function watchDisks(): void {
  try {
    watchPools((driver) => containerNames().filter((name) => liesOn(name, driver)));
  } catch (error) {
    warn(`the pools' disks cannot be looked at: ${asBerthError(error).message}`);
  }
}

function liesOn(name: string, driver: DriverName): boolean {
  try {
    const { storage, layers } = loadState(name);
    return storage === driver || layers.some((layer) => layer.storage === driver);
  } catch {
    return false; // shown as broken
  }
}

const viewWith =
  (table: string) =>
  (name: string): View | BrokenView => {
    try {
      return viewOf(name, table);
    } catch (error) {
      return { name, broken: asBerthError(error), running: statusOf(name).state !== "stopped" };
    }
  };
