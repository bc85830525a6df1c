/** What the commands that move containers to another host have in common. */
import { BerthError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { MigrateRequest, MigrateResult } from "../migrate/source.ts";
import type { OptionValues } from "./framework/command.ts";
import { endSessionsOption } from "./sessions-option.ts";

export const migrateOptions = [
  { name: "dry-run", short: "n", kind: "flag", summary: "Only look whether it could move" },
  { name: "offline", kind: "flag", summary: "Stop one that runs, move it, and start it there" },
  endSessionsOption,
  {
    name: "bwlimit",
    kind: "size",
    value: "RATE",
    summary: "Bytes a second that are sent at most, but for what is sent while it stands still",
  },
  {
    name: "timeout",
    short: "t",
    kind: "duration",
    summary: "How long one that goes on there may stand still; past that it goes on here",
  },
  {
    name: "max-downtime",
    kind: "duration",
    default: "300ms",
    summary: "Send memory in passes while it works, until what it writes meanwhile can be sent in this time",
  },
  { name: "no-precopy", kind: "flag", summary: "Send its memory once, while it stands still" },
  {
    name: "rsh",
    kind: "string",
    value: "COMMAND",
    summary: "What runs berth there instead of ssh: words, behind which berth's own are put",
  },
] as const;

/** The request of these options, for one that keeps its name and leaves this host. */
export function requestOf(host: string, options: OptionValues<typeof migrateOptions>): MigrateRequest {
  const { bwlimit, timeout, offline } = options;
  const maxDowntime = options["no-precopy"] ? undefined : (options["max-downtime"] ?? MAX_DOWNTIME);
  if (bwlimit !== undefined && bwlimit < LEAST)
    throw new BerthError(
      "usage.bad-argument",
      `--bwlimit ${formatSize(bwlimit)} is less than ${formatSize(LEAST)} a second`,
      "a migration at that rate would never end",
    );
  return {
    to: { host, rsh: wordsOf(options.rsh) },
    ...{ name: undefined, storage: undefined, keep: false },
    ...{
      offline,
      bwlimit,
      timeout,
      maxDowntime,
      dryRun: options["dry-run"],
      endSessions: options["end-sessions"],
    },
  };
}

const LEAST = 64 << 10;

/** What QEMU aims at, too. */
const MAX_DOWNTIME = 0.3;

function wordsOf(rsh: string | undefined): readonly string[] | null {
  const words = (rsh ?? process.env.BERTH_RSH ?? "").split(" ").filter(Boolean);
  return words.length === 0 ? null : words;
}

/** One line of what became of it. */
export function movedLine(
  name: string,
  { host, bytes, stages, standStill, name: there }: MigrateResult,
): string {
  const total = stages.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const named = there === name ? "" : ` as ${there}`;
  const still = standStill === null ? "" : `, stood still for ${inSeconds(standStill)}`;
  return `${name}: moved to ${host}${named} in ${inSeconds(total)}, ${formatSize(bytes)} sent${still}`;
}

export const inSeconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;

/** Fails when it has moved, ran here and does not start there. */
export function mustHaveStarted({ name, host, startFault }: MigrateResult): void {
  if (startFault === null) return;
  throw new BerthError(
    "container.start-failed",
    `${name} is on ${host} now, but does not start there: ${startFault}`,
    `there: berth start ${name}`,
  );
}
