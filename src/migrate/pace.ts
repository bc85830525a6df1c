/** A bound on how fast is sent, so that a migration leaves room on the line. */
import type { Write } from "../storage/archive/tar-writer.ts";

export type Pace = {
  readonly write: Write;
  /** Bytes a second from now on; undefined: as fast as it goes. */
  readonly limit: (rate: number | undefined) => void;
};

/** Written at once; what comes in one piece is not sent in one. */
const SLICE = 64 << 10;
const SECOND_MS = 1000;

/** The same writer with a bound. */
export function paced(write: Write, sleep: (milliseconds: number) => Promise<void> = Bun.sleep): Pace {
  let bound: number | undefined;
  return {
    limit: (rate) => {
      bound = rate;
    },
    write: async (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        const end = bound === undefined ? bytes.length : Math.min(bytes.length, at + SLICE);
        await write(bytes.subarray(at, end));
        if (bound !== undefined) await sleep(((end - at) / bound) * SECOND_MS);
        at = end;
      }
    },
  };
}
