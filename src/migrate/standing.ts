/** What this host has of a migration that it was the destination of, and settling one that was cut. */
import { hasArrived, noteArrival } from "../container/arrivals.ts";
import { type IntentOf, readIntent } from "../container/intent.ts";
import { type ContainerLock, dropLockFile, withLock } from "../container/lock.ts";
import { containerNames } from "../container/name.ts";
import { discard, finishArrival } from "../container/recover.ts";
import { statusOf } from "../container/status.ts";
import { cgroups } from "../resources/cgroup.ts";
import type { DestinationMark } from "./phases.ts";

export type Standing = { readonly mark: DestinationMark; readonly name: string | null };

const nothing: Standing = { mark: "none", name: null };

/**
 * What is here. "receiving" is not told apart from nothing: it goes by itself. A guest that was brought back and has ended
 * meanwhile, as by a power cut, is given up: the source can still let it go on from its images.
 */
export async function standingHere(id: string): Promise<Standing> {
  const waiting = waitingFor(id);
  if (hasArrived(id)) return { mark: "arrived", name: waiting?.name ?? null };
  if (waiting === undefined) return nothing;
  const { name, intent } = waiting;
  const ready: Standing = { mark: "ready", name };
  if (!intent.live || statusOf(name).state !== "stopped") return ready;
  return await withLock(name, async (lock) => {
    // Who had the lock may have made it this host's own meanwhile, or removed it.
    if (hasArrived(id)) return { mark: "arrived", name };
    const same = readIntent(name);
    if (same?.operation !== "arrive" || same.id !== id) return nothing;
    if (statusOf(name).state !== "stopped") return ready;
    await settleWaiting(lock, same, false);
    return nothing;
  });
}

type Waiting = { readonly name: string; readonly intent: IntentOf<"arrive"> };

function waitingFor(id: string): Waiting | undefined {
  for (const name of containerNames()) {
    const intent = readIntent(name);
    if (intent?.operation === "arrive" && intent.id === id) return { name, intent };
  }
  return undefined;
}

/** Makes what waits this host's own, or removes it. What has been settled already stays as it was. */
export async function settleHere(id: string, take: boolean): Promise<void> {
  const waiting = waitingFor(id);
  if (waiting === undefined) return;
  const { name } = waiting;
  await withLock(name, async (lock) => {
    const intent = readIntent(name);
    if (intent?.operation !== "arrive" || intent.id !== id) return;
    await settleWaiting(lock, intent, take);
  });
}

/** The same under the container's lock. */
export async function settleWaiting(
  lock: ContainerLock,
  intent: IntentOf<"arrive">,
  take: boolean,
): Promise<void> {
  if (take) noteArrival(intent.id, lock.name);
  if (hasArrived(intent.id)) return await finishArrival(lock.name, intent);
  if (intent.live) cgroups().kill(lock.name);
  await discard(lock, intent);
  dropLockFile(lock);
}
