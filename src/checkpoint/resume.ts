/** Resuming: a suspended guest goes on where it was. */
import { BerthError } from "../base/errors.ts";
import type { Progress } from "../base/progress.ts";
import type { LockedContainer } from "../container/container.ts";
import { appendEvent } from "../container/events.ts";
import { goOn } from "../container/go-on.ts";
import { clearIntent, declareIntent } from "../container/intent.ts";
import { saveState } from "../container/store.ts";
import { discardCheckpoint, forgetRun } from "../container/suspended.ts";
import { bringBack, type ResumeResult } from "./bring-back.ts";

/** Resumes it. On a failure it stays suspended; throws container.not-suspended, checkpoint.failed. */
export async function resumeContainer(container: LockedContainer, progress: Progress): Promise<ResumeResult> {
  const { name, state } = container;
  if (!state.suspended)
    throw new BerthError(
      "container.not-suspended",
      `container ${name} is not suspended`,
      `berth start ${name}, if it is stopped`,
    );
  progress.emit({ type: "step", label: "bringing processes and connections back" });
  // What an earlier run left must not be taken for this one.
  forgetRun(name);
  declareIntent(name, { operation: "resume", uuid: state.uuid, storage: state.storage });
  let isUnsettled = false;
  try {
    // Unheard at first: what a client sends before its socket is back would be answered by a reset.
    const result = await bringBack(container).catch((error: unknown) => {
      throw hinting(error, `it stays suspended; \`berth start --fresh ${name}\` gives up what it was doing`);
    });
    isUnsettled = true;
    saveState(name, { ...state, suspended: false, shouldRun: true });
    discardCheckpoint(name);
    await goOn(name);
    isUnsettled = false;
    appendEvent("resume", name, { pid: result.pid });
    return result;
  } finally {
    // It goes on, and nothing says so yet: the next command settles that.
    if (!isUnsettled) clearIntent(name);
  }
}

/** The same error with more of what can be done. */
export const hinting = (error: unknown, hint: string): unknown =>
  error instanceof BerthError
    ? new BerthError(
        error.code,
        error.message,
        [error.hint, hint].filter((one) => one !== "").join("; "),
        error.cause,
      )
    : error;
