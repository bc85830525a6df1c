/** Sending a guest's memory while it works, so that little is left for when it stands still. */
import { asBerthError, BerthError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import { makePass, ownMemory, writePass } from "../checkpoint/passes.ts";
import { preCopyFault } from "../checkpoint/pre-copy.ts";
import { discardCheckpoint } from "../container/suspended.ts";

import { streamImages } from "./images-send.ts";
import { isPassDue, isWorthPasses, type Pass, timeLeft } from "./pass-rule.ts";
import type { Move } from "./send.ts";

/**
 * Makes passes over its memory; `rate` is what the line is known to take, in bytes a millisecond. `between` them it is done what else
 * shall be little in the end. Gives how many the last images build upon: none where they would win nothing, cannot be made here, or failed.
 */
export async function sendMemory(move: Move, rate: number, between: () => Promise<void>): Promise<number> {
  const { container, request, progress } = move;
  const { name } = container;
  if (request.maxDowntime === undefined) return 0;
  const aim = request.maxDowntime * 1000;
  if (!isWorthPasses(ownMemory(name), rate, aim)) return 0;
  const fault = await preCopyFault();
  if (fault !== undefined) return without(move, fault);
  const passes: Pass[] = [];
  while (isPassDue(passes, aim)) {
    if (passes.length > 0) await between();
    progress.signal.throwIfAborted();
    const made = await onePass(move, passes.length + 1);
    if (made instanceof BerthError) return without(move, made.message);
    passes.push(made);
  }
  weigh(move, timeLeft(passes), aim);
  return passes.length;
}

/** Goes on as if no passes could be made, and says why. */
function without({ container: { name }, progress }: Move, why: string): 0 {
  discardCheckpoint(name);
  progress.emit({ type: "note", text: `${name}: its memory is sent while it stands still: ${why}` });
  return 0;
}

/** Writes a pass and sends it meanwhile. Gives CRIU's refusal, which spoils nothing but the passes; throws when the line fails. */
async function onePass(
  { container, line, stages, progress }: Move,
  pass: number,
): Promise<Pass | BerthError> {
  const begun = performance.now();
  const images = streamImages(line, makePass(container.name, pass), progress, pass);
  const send = async (): Promise<Pass | BerthError> => {
    images.begin();
    try {
      const bytes = await writePass(container, pass).catch(asBerthError);
      if (bytes instanceof BerthError) return bytes;
      await images.finish();
      return { bytes, milliseconds: performance.now() - begun };
    } finally {
      await images.stop();
    }
  };
  return await stages.run(`sending its memory, pass ${pass}`, send, begun, (made) =>
    made instanceof BerthError ? "" : ` (${formatSize(made.bytes)})`,
  );
}

/** What it writes faster than it can be sent is told before it stands still for it, and forbids that where it would for too long. */
function weigh({ container: { name }, request, progress }: Move, left: number, aim: number): void {
  const { timeout, bwlimit } = request;
  // What is sent while it stands still has no bound: how fast that goes is not known then.
  if (left <= aim || bwlimit !== undefined) return;
  const text = `it writes to its memory faster than the line takes it: sending the last of it will take about ${Math.round(left)} ms`;
  if (timeout !== undefined && left > timeout * 1000)
    throw new BerthError(
      "migrate.failed",
      `${name} goes on here: ${text}, more than --timeout`,
      "give it more --timeout, or --offline to stop it, move it and start it there",
    );
  progress.emit({ type: "warning", text: `${name}: ${text}, more than --max-downtime` });
}
