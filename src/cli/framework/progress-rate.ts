/** How fast bytes go, and how long the rest will take: reckoned by whoever shows progress, from the events alone. */
import type { ProgressEvent } from "../../base/progress.ts";
import { formatDuration, formatSize } from "../../base/units.ts";

type Advance = Extract<ProgressEvent, { type: "advance" }>;

/** Sooner nothing can be said that would not jump. */
const FIRST_MILLISECONDS = 1000;

/**
 * Tells for each event ", 12M/s, 1m 5s left", or "" when nothing can be said. The rate is that since the label's first event;
 * `now` is a monotonic clock in milliseconds.
 */
export function progressRate(now: () => number): (event: Advance) => string {
  let label: string | undefined;
  let since = 0;
  let first = 0;
  return ({ label: current, done, total, unit }) => {
    if (current !== label || done < first) {
      label = current;
      since = now();
      first = done;
    }
    const elapsed = now() - since;
    if (unit !== "bytes" || elapsed < FIRST_MILLISECONDS || done <= first) return "";
    const rate = ((done - first) * 1000) / elapsed;
    const left = (total ?? done) - done;
    const eta = left > 0 ? `, ${formatDuration(Math.ceil(left / rate))} left` : "";
    return `, ${formatSize(Math.round(rate))}/s${eta}`;
  };
}
