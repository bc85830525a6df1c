/** Opening a container: the lock where it will be changed, recovery of what was cut short, and what is known of it. */
import { existsSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";
import type { ContainerConfig } from "../config/schema.ts";
import { hasIntent } from "./intent.ts";
import { type ContainerLock, dropLockFile, withLock } from "./lock.ts";
import { refuseMounted } from "./mounted.ts";
import { resolveName } from "./name.ts";
import { recover } from "./recover.ts";
import { type Status, statusOf } from "./status.ts";
import { type ContainerState, loadConfig, loadConfigLeniently, loadState } from "./store.ts";

export type Container = {
  readonly name: string;
  readonly config: ContainerConfig;
  readonly state: ContainerState;
};

export type LockedContainer = Container & { readonly lock: ContainerLock };

const gone = (name: string, why: string): BerthError =>
  new BerthError(
    "container.not-found",
    `there is no container ${JSON.stringify(name)}: ${why}`,
    "`berth ls` shows those there are",
  );

/** Looks without locking. What was cut short is recovered first. */
export async function openContainer(word: string): Promise<Container> {
  const name = resolveName(word);
  if (hasIntent(name)) await withLock(name, async (lock) => refuseGone(lock));
  return { name, config: loadConfig(name), state: loadState(name) };
}

/** The name of a container to look into: its settings are not read, so that a damaged file keeps nobody out. */
export async function openByName(word: string): Promise<string> {
  const name = resolveName(word);
  if (hasIntent(name)) await withLock(name, async (lock) => refuseGone(lock));
  return name;
}

/** Runs `work` on the container under its lock; `lenient` takes the defaults where config.yaml is damaged. */
export async function withContainer<T>(
  word: string,
  work: (container: LockedContainer) => Promise<T>,
  options: { readonly lenient?: boolean } = {},
): Promise<T> {
  const name = resolveName(word);
  return await withLock(name, async (lock) => {
    await refuseGone(lock);
    const container = {
      name,
      lock,
      config: options.lenient ? loadConfigLeniently(name) : loadConfig(name),
      state: loadState(name),
    };
    if (needsKeeper(name)) await adopt(container);
    return await work(container);
  });
}

/** What cannot be adopted stays unattended, as `ls` and `info` say; the command itself goes on. */
async function adopt(container: LockedContainer): Promise<void> {
  const { adoptContainer } = await import("./start.ts");
  await adoptContainer(container).catch(() => {});
}

/** A guest that runs without its keeper gets a new one from the first command that changes anything. */
function needsKeeper(name: string): boolean {
  const status = statusOf(name);
  return status.state !== "stopped" && status.unattended;
}

async function refuseGone(lock: ContainerLock): Promise<void> {
  const { name } = lock;
  const wasThere = existsSync(containerPaths(name).dir);
  if (await recover(lock)) return;
  dropLockFile(lock);
  throw gone(
    name,
    wasThere
      ? "its creation or removal had been cut short"
      : "another command removed or renamed it while this one waited",
  );
}

/** Its status, which must be running. */
export function mustRun(name: string): Extract<Status, { state: "running" | "frozen" }> {
  const status = statusOf(name);
  if (status.state === "stopped") {
    refuseSuspended(name);
    throw new BerthError("container.not-running", `container ${name} is stopped`, `berth start ${name}`);
  }
  return status;
}

/** For whatever would change the disk under a guest that waits to go on with it. Throws container.suspended. */
export function refuseSuspended(name: string): void {
  if (!loadState(name).suspended) return;
  throw new BerthError(
    "container.suspended",
    `container ${name} is suspended: its processes wait to go on with the disk as it is`,
    `berth resume ${name}; or \`berth start --fresh ${name}\` gives up what it was doing`,
  );
}

/**
 * For what exchanges its disk or its name: nobody may use it. Throws container.running, saying why, container.suspended
 * or container.mounted.
 */
export function mustBeIdle(container: Container, why: string): void {
  const { name } = container;
  if (statusOf(name).state !== "stopped")
    throw new BerthError("container.running", `container ${name} is running: ${why}`, `berth stop ${name}`);
  refuseSuspended(name);
  refuseMounted(container);
}
