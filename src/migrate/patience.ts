/** How long a guest may stand still for its migration. */
import { BerthError } from "../base/errors.ts";

export type Patience = Disposable & {
  /** It stands still from now on; said again, it has gone on in between. */
  readonly begin: () => void;
  /** Aborted when it has stood still for too long, or for another reason that it was given. */
  readonly signal: AbortSignal;
  /** The work's result, or the reason of the signal when that comes first. */
  readonly bear: <T>(work: Promise<T>) => Promise<T>;
};

/** Patience of so many seconds (undefined: without end) for a container; `signal` ends it too. */
export function patienceOf(name: string, seconds: number | undefined, signal: AbortSignal): Patience {
  const late = new AbortController();
  const either = AbortSignal.any([signal, late.signal]);
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => {}); // nobody may be waiting
  const giveUp = (): void => over.reject(either.reason);
  either.addEventListener("abort", giveUp);
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    signal: either,
    begin: () => {
      clearTimeout(timer);
      if (seconds === undefined) return;
      timer = setTimeout(() => late.abort(tooLong(name, seconds)), seconds * 1000);
    },
    bear: async (work) => {
      work.catch(() => {}); // when the patience has ended, nobody hears it
      return await Promise.race([work, over.promise]);
    },
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      either.removeEventListener("abort", giveUp);
    },
  };
}

const tooLong = (name: string, seconds: number): BerthError =>
  new BerthError(
    "migrate.failed",
    `${name} would have stood still for longer than ${seconds} s, and goes on here`,
    "give it more --timeout, or --offline to stop it, move it and start it there",
  );
