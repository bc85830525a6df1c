/** A guest that rebooted itself comes back: its keeper, which holds the lock, asks for it. */
import { appendFileSync, closeSync, writeFileSync } from "node:fs";
import { asBerthError, BerthError } from "../base/errors.ts";
import { readIfExists } from "../base/files.ts";
import { containerPaths, eventsPath } from "../base/paths.ts";
import type { ContainerLock } from "./lock.ts";
import { startContainer } from "./start.ts";
import { loadConfig, loadState } from "./store.ts";

/** A guest that reboots more often than this in a minute stays down: every round costs the host more than the guest. */
const MOST_REBOOTS = 5;
const WINDOW_MS = 60_000;

function refuseStorm(name: string): void {
  const { reboots } = containerPaths(name);
  const now = Date.now();
  const recent = (readIfExists(reboots) ?? "").split("\n").filter((line) => Number(line) > now - WINDOW_MS);
  writeFileSync(reboots, [...recent, now].join("\n"), { mode: 0o600 });
  if (recent.length < MOST_REBOOTS) return;
  throw new BerthError(
    "container.start-failed",
    `container ${name} rebooted itself ${recent.length + 1} times within a minute and stays down`,
    `\`berth log ${name}\` shows why; \`berth start ${name}\` tries again`,
  );
}

/** Starts it again, unless it was told to stop while it went down. Nobody watches: a failure goes to the events as well. */
export async function restartByKeeper(lock: ContainerLock): Promise<void> {
  const { name } = lock;
  try {
    const state = loadState(name);
    if (!state.shouldRun) return;
    refuseStorm(name);
    await startContainer({ name, lock, config: loadConfig(name), state });
  } catch (error) {
    const { code, message } = asBerthError(error);
    appendFileSync(
      eventsPath(),
      `${JSON.stringify({ time: Date.now(), container: name, event: "reboot-failed", code, message })}\n`,
    );
    throw error;
  } finally {
    closeSync(lock.fd);
  }
}
