/** Commands that `berth exec` and `enter` have put into a guest: none of init's, so that a checkpoint cannot have them. */
import { writeFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";
import { mustRun } from "../container/container.ts";
import { type ProcessId, sendSignal, startTime } from "../kernel/process.ts";
import { type GuestProcess, guestProcesses } from "./processes.ts";

/** Whether commands of `berth exec` and `enter` are ended for a checkpoint; else they stand in the way. */
export type Sessions = { readonly end?: boolean };

/** Why it is from outside; undefined when it is init's own. */
export function outsideOf(
  one: GuestProcess,
  all: readonly GuestProcess[],
  init: number,
): "session" | "remainder" | undefined {
  if (one.pid === init) return undefined;
  if (!all.some(({ pid }) => pid === one.parent)) return "session";
  return one.session === 0 ? "remainder" : undefined;
}

/** What a process gets to end by itself, how long all may take, and how often it is looked, in milliseconds. */
const GRACE_MS = 1000;
const PATIENCE_MS = 5000;
const LOOK_MS = 50;

const SIGHUP = 1;
const SIGKILL = 9;

/** Ends them as a terminal that goes away does, then by force; who waits for them is told by berth-launch. Gives how many there were. */
export async function endSessions(name: string): Promise<number> {
  const first = await outsiders(name);
  if (first.length === 0) return 0;
  writeFileSync(containerPaths(name).sessionsEnded, "");
  const since = Date.now();
  for (let left = first; left.length > 0; left = [...still(left), ...(await outsiders(name))]) {
    const waited = Date.now() - since;
    if (waited > PATIENCE_MS)
      throw new BerthError(
        "container.not-checkable",
        `container ${name}: process ${left[0]?.pid} of the host, begun by \`berth exec\`, does not end`,
        "it waits for a disk or a server: try again later",
      );
    for (const one of left) sendSignal(one, waited > GRACE_MS ? SIGKILL : SIGHUP);
  }
  return first.length;
}

const still = (processes: readonly ProcessId[]): ProcessId[] =>
  processes.filter(({ pid, startTime: start }) => startTime(pid) === start);

/** Looked at twice: one whose parent ended between two reads of /proc is init's the next time. */
async function outsiders(name: string): Promise<ProcessId[]> {
  const before = new Map(outsidersNow(name).map(({ pid, startTime: start }) => [pid, start]));
  if (before.size === 0) return [];
  await Bun.sleep(LOOK_MS);
  return outsidersNow(name).filter(({ pid, startTime: start }) => before.get(pid) === start);
}

/** The processes that `endSessions` would end, as they are now. */
export function outsidersNow(name: string): ProcessId[] {
  const { init } = mustRun(name);
  const all = guestProcesses(name);
  const found = new Set(
    all.filter((one) => outsideOf(one, all, init.pid) !== undefined).map(({ pid }) => pid),
  );
  // What they have begun would be init's once they are gone, and have their files open still.
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  return [...found].flatMap((pid) => {
    const start = startTime(pid);
    return start === undefined ? [] : [{ pid, startTime: start }];
  });
}
