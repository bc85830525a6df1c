/** Snapshots by schedule: what is due is taken, what has had its time goes. A timer runs it; it needs no daemon. */
import type { Progress } from "../base/progress.ts";
import { withContainer } from "./container.ts";
import { createSnapshot, removeSnapshots } from "./snapshot.ts";
import { listSnapshots } from "./snapshots.ts";
import { loadConfig } from "./store.ts";

export type ScheduleResult = { readonly taken: readonly string[]; readonly removed: readonly string[] };

/** Takes the container's snapshot if one is due, then removes those that are too many or have expired. */
export async function runSchedule(
  name: string,
  progress: Progress,
  now = new Date(),
): Promise<ScheduleResult> {
  const taken = isDue(name, now) ? [snapshotNameAt(now, "auto-")] : [];
  for (const snapshot of taken)
    await withContainer(
      name,
      async (container) =>
        await createSnapshot(
          container,
          { name: snapshot, description: undefined, expires: undefined, scheduled: true },
          progress,
        ),
    );
  const removed = outlived(name, now);
  if (removed.length > 0)
    await withContainer(name, async (container) => await removeSnapshots(container, removed));
  return { taken, removed };
}

/** "auto-20261124-061500", in UTC: sorts by time. */
export const snapshotNameAt = (time: Date, prefix = ""): string =>
  `${prefix}${time.toISOString().slice(0, 19).replaceAll("-", "").replaceAll(":", "").replace("T", "-")}`;

function isDue(name: string, now: Date): boolean {
  const { every } = loadConfig(name).snapshots;
  if (every === undefined) return false;
  const last = listSnapshots(name).findLast(({ scheduled }) => scheduled);
  return last === undefined || now.getTime() - Date.parse(last.created) >= every * 1000;
}

/** Names of snapshots that have expired, and of scheduled ones beyond those to be kept. */
function outlived(name: string, now: Date): readonly string[] {
  const { keep = Number.POSITIVE_INFINITY } = loadConfig(name).snapshots;
  const all = listSnapshots(name);
  const scheduled = all.filter((snapshot) => snapshot.scheduled);
  const tooMany = new Set(scheduled.slice(0, Math.max(0, scheduled.length - keep)));
  return all
    .filter(
      (snapshot) =>
        tooMany.has(snapshot) || (snapshot.expires !== null && Date.parse(snapshot.expires) <= now.getTime()),
    )
    .map((snapshot) => snapshot.name);
}
