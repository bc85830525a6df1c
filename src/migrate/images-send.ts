/** Sending CRIU's images: memory goes while CRIU still writes the next process down, the rest when all is there. */
import { type BigIntStats, lstatSync, readdirSync, readFileSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import type { Progress } from "../base/progress.ts";
import { endOfArchive } from "../storage/archive/tar-block.ts";
import { type Write, writeTree } from "../storage/archive/tar-writer.ts";
import { packFile, SMALL } from "./bundle.ts";
import type { SourceLine } from "./source-line.ts";

export type ImageStream = {
  /** From now on CRIU writes them; also said again, when it begins anew. */
  readonly begin: () => void;
  /** All are written: sends what is missing there of the large ones. Throws what went wrong since `begin`, too. */
  readonly finish: () => Promise<void>;
  /** Writes the small ones, after that, as a bundle. */
  readonly small: (write: Write) => Promise<void>;
  /** Ends it in whatever state it is; the line is free again. */
  readonly stop: () => Promise<void>;
};

/** What holds nearly all bytes; nothing looks into it, so it is what it will be once it is written. */
const isBig = (name: string): boolean => /^(?:pages|tmpfs-dev)-/.test(name);

/** CRIU's own words stay here. */
const isImage = (name: string): boolean => !name.endsWith(".log");

/** A file that nobody has written to for so long is whole, most likely: if not, it is sent once more. */
const SETTLED_NS = 20_000_000n;
const LOOK_MS = 5;

const isSettled = ({ ctimeNs }: BigIntStats): boolean =>
  BigInt(Date.now()) * 1_000_000n - ctimeNs > SETTLED_NS;

const versionOf = ({ ino, ctimeNs, size }: BigIntStats): string => `${ino} ${ctimeNs} ${size}`;

/** What restoring needs of a pass over the memory. */
const isOfPass = (name: string): boolean => /^(?:pages|pagemap)-/.test(name);

/** A stream of the images in `dir`, which are those of a `pass` over the memory, or the last ones. */
export function streamImages(
  line: SourceLine,
  dir: string,
  { signal, emit }: Progress,
  pass?: number,
): ImageStream {
  const sent = new Map<string, string>();
  let writing = false;
  let done = 0;
  let running: Promise<void> = Promise.resolve();
  const isDue = (name: string, stat: BigIntStats): boolean =>
    sent.get(name) !== versionOf(stat) &&
    (writing
      ? isBig(name) && isSettled(stat)
      : pass === undefined
        ? stat.size > SMALL && isImage(name)
        : isOfPass(name));

  const send = async (): Promise<void> =>
    void (await line.askWithBulk({ type: "images", pass }, async (write) => {
      await writeTree(dir, write, {
        prefix: "./",
        owner: (id) => id,
        xattr: () => undefined,
        // Passes go by themselves, and the other side ties them together.
        leaveOut: ({ depth, stat }) => depth > 0 && !stat.isFile(),
        passOver: ({ relative, depth, stat }) => {
          const name = relative.toString();
          if (depth === 0 || !isDue(name, stat)) return true;
          sent.set(name, versionOf(stat));
          return false;
        },
        onBytes: (bytes) => {
          done += bytes;
          if (pass !== undefined)
            emit({ type: "advance", label: "sending memory", done, total: undefined, unit: "bytes" });
        },
        live: writing,
        signal,
      });
      await write(endOfArchive);
    }));

  const stream = async (): Promise<void> => {
    while (writing)
      if (bigIn(dir).some(([name, stat]) => isDue(name, stat))) await send();
      else await Bun.sleep(LOOK_MS);
  };

  return {
    begin: () => {
      if (writing) return;
      writing = true;
      running = stream();
      running.catch(() => {}); // `finish` throws it
    },
    finish: async () => {
      writing = false;
      await running;
      if (filesIn(dir, isImage).some(([name, stat]) => isDue(name, stat))) await send();
    },
    small: async (write) => {
      for (const [name, stat] of filesIn(dir, isImage))
        if (stat.size <= SMALL && sent.get(name) !== versionOf(stat))
          await write(packFile({ name, content: readFileSync(`${dir}/${name}`) }));
    },
    stop: async () => {
      writing = false;
      await running.catch(() => {}); // what failed first is told
    },
  };
}

/** Files that are there now and are wanted. */
const filesIn = (dir: string, wanted: (name: string) => boolean): [string, BigIntStats][] =>
  readdirSync(dir)
    .filter(wanted)
    .map((name): [string, BigIntStats] => [name, lstatSync(`${dir}/${name}`, { bigint: true })])
    .filter(([, stat]) => stat.isFile());

/** None when the directory is gone: CRIU has failed. */
function bigIn(dir: string): [string, BigIntStats][] {
  try {
    return filesIn(dir, isBig);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
