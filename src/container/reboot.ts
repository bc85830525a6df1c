/** A guest that rebooted itself comes back: its keeper, which holds the lock, asks for it. */
import { appendFileSync, closeSync } from "node:fs";
import { asBerthError } from "../base/errors.ts";
import { eventsPath } from "../base/paths.ts";
import type { ContainerLock } from "./lock.ts";
import { startContainer } from "./start.ts";
import { loadConfig, loadState } from "./store.ts";

/** Starts it again. Nobody watches: a failure goes to the events as well. */
export async function restartByKeeper(lock: ContainerLock): Promise<void> {
  const { name } = lock;
  try {
    await startContainer({ name, lock, config: loadConfig(name), state: loadState(name) });
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
