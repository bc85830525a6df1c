/** Stopping: ask init, wait, then kill. */
import { BerthError } from "../base/errors.ts";
import { type ProcessId, sendSignal, waitForEnd } from "../kernel/process.ts";
import { cgroups } from "../resources/cgroup.ts";
import { type LockedContainer, mustRun } from "./container.ts";
import { watchKeeper, within } from "./keeper.ts";
import { releaseRuntime } from "./start.ts";
import type { InitRecord } from "./status.ts";
import { saveState } from "./store.ts";
import { templateOf } from "./templates.ts";

const SIGKILL = 9;
/** After a kill the kernel needs no more than this to end every process of a guest. */
const KILL_PATIENCE_MS = 15_000;
/** For guests whose template is gone: what most inits take as a wish to power down (LXC's choice too). */
const SIGPWR = 30;

export type StopOptions = {
  /** Kill at once. */
  readonly kill: boolean;
  /** Seconds to wait before killing; the container's setting when undefined. */
  readonly timeout: number | undefined;
  /** Whether the guest should stay down: false for a restart. */
  readonly stayDown: boolean;
  /** Aborted when the operator gives up waiting. */
  readonly signal?: AbortSignal;
};

export type StopResult = { readonly killed: boolean };

/** Stops it. Throws container.not-running. */
export async function stopContainer(container: LockedContainer, options: StopOptions): Promise<StopResult> {
  const { name, state } = container;
  const status = mustRun(name);
  if (options.stayDown) saveState(name, { ...state, shouldRun: false }, false);
  if (status.state === "frozen") cgroups().setFrozen(name, false);

  const end = await endOf(name, status);
  let killed = options.kill;
  if (!options.kill) {
    killed = !(await askAndWait(container, status.init, end, options));
  }
  if (killed) {
    sendSignal(status.init, SIGKILL);
    if (!(await end.wait(KILL_PATIENCE_MS))) {
      throw new BerthError(
        "container.stop-timeout",
        `container ${name}: its init (process ${status.init.pid}) does not die even by SIGKILL`,
        "a `berth exec` into it that was stopped (state T in `ps -eo pid,stat,args`) holds it, or a process hangs in the kernel: end or continue that one",
      );
    }
  }
  releaseRuntime(name);
  end.release();
  return { killed };
}

/** An init that is just starting does not listen yet: it is asked again until it does. */
const ASK_AGAIN_MS = 2000;

/** True when the guest ended within its time. An abort leaves it alone: it may still shut down as it was asked to. */
async function askAndWait(
  container: LockedContainer,
  init: ProcessId,
  end: End,
  options: StopOptions,
): Promise<boolean> {
  const signal = haltSignal(container);
  const deadline = Date.now() + (options.timeout ?? container.config.stop.timeout) * 1000;
  do {
    sendSignal(init, signal);
    if (await end.wait(Math.min(ASK_AGAIN_MS, Math.max(0, deadline - Date.now())))) return true;
    if (options.signal?.aborted) {
      throw new BerthError(
        "container.stop-timeout",
        `container ${container.name} still runs: the stop was interrupted`,
        "it was asked to shut down and may still do so; `berth stop --kill` ends it at once",
      );
    }
  } while (Date.now() < deadline);
  return false;
}

export type End = { readonly wait: (milliseconds: number) => Promise<boolean>; readonly release: () => void };

/** The guest's end as its keeper tells it, or as its pidfd does when the keeper is gone. */
export async function endOf(name: string, { init }: InitRecord): Promise<End> {
  const watch = await watchKeeper(name);
  if (watch === undefined)
    return { wait: async (milliseconds) => waitForEnd(init, milliseconds), release: () => {} };
  return {
    wait: async (milliseconds) => {
      const before = Date.now();
      const ended = await within(
        watch.ended.then(() => true),
        milliseconds,
        false,
      );
      // A keeper that died in the meantime says nothing of its guest.
      return ended && waitForEnd(init, Math.max(0, milliseconds - (Date.now() - before)));
    },
    release: watch.close,
  };
}

function haltSignal({ config, state }: LockedContainer): number {
  if (config.stop.signal !== undefined) return config.stop.signal;
  try {
    return templateOf(state).metadata.haltSignal;
  } catch {
    return SIGPWR;
  }
}
