/**
 * A private copy of what is imported. It is read once, hashed on the way, into a file that has no name any more: what
 * was verified is what is unpacked, whoever may write to the original meanwhile. A pipe becomes a file by it too.
 */
import { closeSync, constants, createReadStream, fstatSync, openSync, unlinkSync, writeSync } from "node:fs";
import { BerthError } from "../../base/errors.ts";
import type { Progress } from "../../base/progress.ts";
import { formatSize } from "../../base/units.ts";
import { refused } from "../archive/damaged.ts";
import type { UnpackLimits } from "../archive/unpack-policy.ts";
import type { Staging } from "../staging.ts";

export type Spool = {
  /** Open for reading, at the beginning. Others may read it too: it is handed to programs that have no rights. */
  readonly fd: number;
  readonly size: number;
  /** 64 hex digits. */
  readonly sha256: string;
  /** The hash's state, to go on with another file. */
  readonly hasher: Bun.CryptoHasher;
  readonly close: () => void;
};

const CHUNK = 1 << 20;

/** Copies `source` (a path, or "-" for stdin). `after` is a hash to go on with. */
export async function spool(
  source: string,
  staging: Staging,
  limits: UnpackLimits,
  progress: Progress,
  after?: Bun.CryptoHasher,
): Promise<Spool & { readonly combined: string | undefined }> {
  const hasher = new Bun.CryptoHasher("sha256");
  const combined = after?.copy();
  const input = openSource(source);
  const path = `${staging.temporary}/source`;
  const output = openSync(path, "wx", 0o644);
  try {
    const fd = openSync(path, constants.O_RDONLY);
    unlinkSync(path);
    const total = fstatSync(input).isFile() ? fstatSync(input).size : undefined;
    let size = 0;
    let told = 0;
    for await (const chunk of createReadStream("", { fd: input, highWaterMark: CHUNK, autoClose: false })) {
      const bytes = chunk as Buffer;
      size += bytes.length;
      checkSize(source, size, limits);
      hasher.update(bytes);
      combined?.update(bytes);
      for (let done = 0; done < bytes.length; ) done += writeSync(output, bytes, done);
      progress.signal.throwIfAborted();
      if (size - told >= 16 * CHUNK) {
        told = size;
        progress.emit({ type: "advance", label: "reading it", done: size, total, unit: "bytes" });
      }
    }
    const state = hasher.copy();
    return {
      ...{ fd, size, sha256: hasher.digest("hex"), hasher: state, close: () => closeSync(fd) },
      combined: combined?.digest("hex"),
    };
  } finally {
    closeSync(output);
    if (input !== 0) closeSync(input);
  }
}

/** A regular file or a pipe, opened once. */
function openSource(source: string): number {
  if (source === "-") return 0;
  // Not blocking on a fifo that nobody writes to would read it as empty; opening waits, and Ctrl-C ends it.
  const fd = openSync(source, constants.O_RDONLY | constants.O_NOCTTY);
  const stat = fstatSync(fd);
  if (stat.isFile() || stat.isFIFO()) return fd;
  closeSync(fd);
  throw new BerthError(
    "usage.bad-argument",
    `${JSON.stringify(source)} is neither a file nor a directory`,
    "a tar archive, a squashfs image, a directory, or - for stdin",
  );
}

function checkSize(source: string, size: number, limits: UnpackLimits): void {
  if (size > limits.size)
    throw refused(
      `${source} is larger than ${formatSize(limits.size)}`,
      "if that is right, allow more with --max-size",
    );
  if (size > limits.space)
    throw new BerthError(
      "host.no-space",
      `${source} is larger than the ${formatSize(limits.space)} that the file system of the templates can spare`,
      "free some space there, then try again",
    );
}
