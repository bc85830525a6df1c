/**
 * Sending a tree in passes: the first has all of it, each later one what changed since. Only during
 * the last one nobody may write to the tree. What has changed is told by inode and ctime, which nothing in the tree can forge.
 */
import { setImmediate } from "node:timers/promises";
import type { Progress } from "../base/progress.ts";
import { isLeftOut, type Written, writeGuestTree } from "../storage/archive/backup-writer.ts";
import { endOfArchive } from "../storage/archive/tar-block.ts";
import { treeEntries } from "../storage/archive/tree-entries.ts";
import type { SourceLine } from "./source-line.ts";

/** What lay at a path when it was looked at. */
type Mark = {
  readonly inode: bigint;
  readonly ctime: bigint;
  readonly directory: boolean;
  /** It has other names too. */
  readonly linked: boolean;
};

/** A tree as it was sent, by path (bytes as latin1). */
export type Survey = ReadonlyMap<string, Mark>;

export const nothingSent: Survey = new Map();

/** Kernels before 6.13 count ctime in ticks of up to 10 ms: what is younger may change once more unseen. */
const GRANULE_NS = 20_000_000n;
const UNKNOWN = -1n;

/** After so many entries others have their turn: the other side waits for a beat. */
const TURN = 1024;

/** Looks at every entry that an archive of the tree would have. */
export async function surveyTree(path: string, live = false, signal?: AbortSignal): Promise<Survey> {
  const settledBefore = BigInt(Date.now()) * 1_000_000n - GRANULE_NS;
  const survey = new Map<string, Mark>();
  for (const { relative, stat } of treeEntries(path, (entry) => isLeftOut(entry, true), live)) {
    if (survey.size % TURN === 0) await setImmediate();
    signal?.throwIfAborted();
    survey.set(relative.toString("latin1"), {
      inode: stat.ino,
      ctime: stat.ctimeNs < settledBefore ? stat.ctimeNs : UNKNOWN,
      directory: stat.isDirectory(),
      linked: stat.nlink > 1n && !stat.isDirectory(),
    });
  }
  return survey;
}

export type Changes = {
  /** Paths that are new or different. */
  readonly changed: ReadonlySet<string>;
  /** Paths that are there no more, what lies deepest first. */
  readonly gone: readonly string[];
  /** Directories that were there and are different. */
  readonly renewed: readonly string[];
};

/** What turns one survey into the other. */
export function changesBetween(before: Survey, now: Survey): Changes {
  const changed = new Set<string>();
  const moved = new Set<bigint>();
  for (const [path, mark] of now) {
    const former = before.get(path);
    if (former?.inode === mark.inode && former.ctime === mark.ctime && mark.ctime !== UNKNOWN) continue;
    changed.add(path);
    if (mark.linked) moved.add(mark.inode);
  }
  // All names of a file travel together: the other side knows links by what comes with them.
  for (const [path, { linked, inode }] of now) if (linked && moved.has(inode)) changed.add(path);
  return {
    changed,
    gone: [...before.keys()].filter((path) => !now.has(path)).sort((a, b) => (a < b ? 1 : -1)),
    renewed: [...changed].filter((path) => now.get(path)?.directory && before.get(path)?.directory),
  };
}

export type SentTree = {
  readonly path: string;
  readonly baseUid: number;
  /** Whether its guest runs: what it changes meanwhile comes with the next pass. */
  readonly live: boolean;
};

/** Names in one message. */
const BATCH = 256;

/** Sends what the tree has beyond `before`; gives its state for the next pass, and how many entries were sent. */
export async function sendPass(
  line: SourceLine,
  { path, baseUid, live }: SentTree,
  before: Survey,
  written: Written,
  progress: Progress,
): Promise<{ readonly survey: Survey; readonly entries: number }> {
  const survey = await surveyTree(path, live, progress.signal);
  const { changed, gone, renewed } = changesBetween(before, survey);
  for (let at = 0; at < Math.max(gone.length, renewed.length); at += BATCH)
    await line.ask({
      type: "clear",
      gone: gone.slice(at, at + BATCH).map(inBase64),
      renewed: renewed.slice(at, at + BATCH).map(inBase64),
    });
  await line.askWithBulk({ type: "upper" }, async (write) => {
    await writeGuestTree({ prefix: "./", path, baseUid }, true, write, written, {
      onBytes: (done) =>
        progress.emit({ type: "advance", label: "sending files", done, total: undefined, unit: "bytes" }),
      signal: progress.signal,
      live,
      passOver: ({ relative }) => !changed.has(relative.toString("latin1")),
    });
    await write(endOfArchive);
  });
  return { survey, entries: changed.size };
}

const inBase64 = (path: string): string => Buffer.from(path, "latin1").toString("base64");
