/**
 * A private copy of what is imported. It is read once, hashed on the way, into a file that has no name any more: what
 * was verified is what is unpacked, whoever may write to the original meanwhile. A pipe becomes a file by it too.
 */
import { closeSync, constants, fstatSync, openSync, unlinkSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
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

const TELL_EACH = 64 << 20;

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
  const path = `${staging.temporary}/source`;
  const output = openSync(path, "wx", 0o644);
  const fd = openSync(path, constants.O_RDONLY);
  try {
    unlinkSync(path);
    let size = 0;
    for await (const bytes of readSource(source, progress)) {
      size += bytes.length;
      checkSize(source, size, limits);
      hasher.update(bytes);
      combined?.update(bytes);
      for (let done = 0; done < bytes.length; ) done += writeSync(output, bytes, done);
    }
    const state = hasher.copy();
    return {
      ...{ fd, size, sha256: hasher.digest("hex"), hasher: state, close: () => closeSync(fd) },
      combined: combined?.digest("hex"),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  } finally {
    closeSync(output);
  }
}

/** The file's bytes; Ctrl-C ends it while it waits for more, too. */
async function* readSource(source: string, { emit, signal }: Progress): AsyncGenerator<Uint8Array> {
  const fd = openSource(source);
  const stat = fstatSync(fd);
  const total = stat.isFile() ? stat.size : undefined;
  let done = 0;
  let told = 0;
  const reader = Bun.file(fd).stream().getReader();
  // Waiting for a pipe must not outlast Ctrl-C.
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  try {
    for (;;) {
      signal.throwIfAborted();
      const { value: bytes, done: ended } = await Promise.race([reader.read(), aborted]);
      if (ended) return;
      done += bytes.length;
      yield bytes;
      if (done - told < TELL_EACH) continue;
      told = done;
      emit({ type: "advance", label: "reading it", done, total, unit: "bytes" });
    }
  } finally {
    await reader.cancel();
    if (fd !== 0) closeSync(fd);
  }
}

/** A regular file or a pipe, opened once. */
function openSource(source: string): number {
  if (source === "-" && !isatty(0)) return 0;
  if (source === "-")
    throw new BerthError(
      "usage.bad-argument",
      "stdin is a terminal, not an archive",
      "pipe one in, or name a file",
    );
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
