/**
 * berth-tree: copies of an overlay upper directory in passes, and what has to be done to one before it is copied or
 * becomes a layer. See native/README.md for what is copied.
 */
import { BerthError, describeErrno } from "../base/errors.ts";
import { binaryPath } from "./binaries.ts";

/** User and group ids in [from, from + count) become to + (id - from). */
export type IdShift = { readonly from: number; readonly to: number; readonly count: number };

export type TreeCopyOptions = {
  readonly shift?: IdShift;
  /** Copies device nodes as well; whiteouts are always copied. */
  readonly keepDevices?: boolean;
  /** Ends the program when it is aborted, also in the middle of a pass, which then fails. */
  readonly signal?: AbortSignal;
  /** Called while a pass runs, at most five times a second. */
  readonly onProgress?: (entries: number, bytes: number) => void;
};

export type PassResult = {
  /** Entries of the source that were looked at. */
  readonly entries: number;
  /** Those that were made or changed in the destination. */
  readonly copied: number;
  /** Names of the destination that the source no longer had. */
  readonly removed: number;
  /** Bytes of content that were written; shared blocks do not count. */
  readonly bytes: number;
  readonly microseconds: number;
};

export type TreeCopy = AsyncDisposable & {
  /**
   * Makes the destination equal to the source; after the first pass only what has changed is copied. `sync: false`
   * leaves out the flush of the source's file system: right for a last pass while nothing can write to it, and only
   * after a pass with it. After an error the destination is a remainder, to be removed by the caller.
   */
  readonly pass: (options?: { readonly sync?: boolean }) => Promise<PassResult>;
  /** Puts the destination's file system on the disk. */
  readonly sync: () => Promise<void>;
  /** Ends the program; the destination stays as the last pass left it. Again is fine. */
  readonly end: () => Promise<void>;
};

/**
 * Starts a copy of the directory `source` into the existing directory `destination`. Nothing is read before the first
 * pass. Disposal kills the program, also in the middle of a pass. Errors are `host.no-space` and `storage.failed`.
 */
export function openTreeCopy(source: string, destination: string, options: TreeCopyOptions = {}): TreeCopy {
  const { shift, keepDevices = false, onProgress, signal } = options;
  const child = Bun.spawn(
    [
      binaryPath("berth-tree"),
      "copy",
      ...(shift === undefined ? [] : ["--shift", ...[shift.from, shift.to, shift.count].map(String)]),
      ...(keepDevices ? ["--keep-devices"] : []),
      "--",
      source,
      destination,
    ],
    { stdio: ["pipe", "pipe", "inherit"], env: {} },
  );
  signal?.addEventListener("abort", () => child.kill("SIGKILL"), { once: true });
  const answers = linesOf(child.stdout);
  const about = `copying ${source} to ${destination}`;

  const ask = async (line: string): Promise<readonly string[]> => {
    try {
      child.stdin.write(`${line}\n`);
      await child.stdin.flush();
    } catch {
      // It has ended: what it said before it did is the answer.
    }
    return await verdict(answers, about, onProgress);
  };
  return {
    pass: async ({ sync = true } = {}) => {
      const [entries = 0, copied = 0, removed = 0, bytes = 0, microseconds = 0] = (
        await ask(sync ? "pass" : "pass nosync")
      ).map(Number);
      return { entries, copied, removed, bytes, microseconds };
    },
    sync: async () => {
      await ask("sync");
    },
    end: async () => {
      await child.stdin.end();
      await child.exited;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/**
 * Copies up all names of files that are hard links in a lower layer and that the guest has written to by one of them:
 * with index=on only `work`/index holds them together. To be called before an upper directory is copied or becomes a
 * layer, while the overlay is mounted. `merged` is its root (such as /proc/PID/root). Gives the number of names.
 */
export async function copyUpAliases(merged: string, work: string): Promise<number> {
  const child = Bun.spawn([binaryPath("berth-tree"), "aliases", "--", merged, work], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {},
  });
  const [count = "0"] = await verdict(linesOf(child.stdout), `reading the hard links of ${work}`);
  await child.exited;
  return Number(count);
}

/** The words of an answer; an error's are thrown, progress is passed on. */
async function verdict(
  lines: AsyncGenerator<string>,
  about: string,
  onProgress?: TreeCopyOptions["onProgress"],
): Promise<readonly string[]> {
  for (;;) {
    const { value, done } = await lines.next();
    const [word = "", ...words] = done === true ? ["error"] : value.split(" ");
    if (word === "at") onProgress?.(Number(words[0]), Number(words[1]));
    else if (word === "error") throw failure(about, words);
    else return words;
  }
}

const ENOSPC = 28;
const EDQUOT = 122;

function failure(about: string, [step = "berth-tree", errno = "0", ...text]: readonly string[]): BerthError {
  const detail = text.join(" ") || "it ended without a word";
  const number = Number(errno);
  const why = number === 0 ? detail : `${detail}: ${describeErrno(number)}`;
  const full = number === ENOSPC || number === EDQUOT;
  return new BerthError(
    full ? "host.no-space" : "storage.failed",
    `${about}: ${step}: ${why}`,
    full ? "free space on the file system that holds the copy, or raise its limit, then try again" : "",
  );
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}
