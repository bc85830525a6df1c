/**
 * Where an archive is written: a file that appears whole or not at all, or stdout, compressed on the way. Whoever is
 * killed leaves nothing: the file has no name before it is whole and on the disk.
 */
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { asBerthError, BerthError, errnoOf } from "../../base/errors.ts";
import { syncDir } from "../../base/files.ts";
import type { Progress } from "../../base/progress.ts";
import { linkOpenFile } from "../../kernel/inode.ts";
import { writeAll } from "../../kernel/terminal.ts";
import { type Compression, compressing } from "./compress.ts";
import type { Write } from "./tar-writer.ts";

export type Output = {
  /** A path, or "-" for stdout. */
  readonly file: string;
  readonly compression: Compression;
  /** Whether a file of that name may be replaced, once the new one is whole. */
  readonly replace: boolean;
};

/** Gathered before they are passed on: headers are small. */
const GATHERED = 1 << 20;

/** Runs `work` with what takes the archive's bytes. If it fails, what was there before is as it was. */
export async function withArchiveFile<T>(
  output: Output,
  progress: Progress,
  work: (write: Write) => Promise<T>,
): Promise<T> {
  const { file, compression, replace } = output;
  if (file === "-") return await filled(1, file, compression, work);
  if (!replace) refuseExisting(file);
  refuseSpecial(file);
  const target = openTarget(file);
  try {
    const result = await filled(target.fd, file, compression, work);
    progress.signal.throwIfAborted();
    fsyncSync(target.fd);
    target.publish(replace);
    syncDir(dirname(file));
    return result;
  } catch (error) {
    target.discard();
    if (progress.signal.aborted)
      throw new BerthError("storage.failed", `writing ${file} was interrupted`, "", error);
    throw asBerthError(error);
  } finally {
    closeSync(target.fd);
  }
}

function refuseExisting(file: string): void {
  if (existsSync(file))
    throw new BerthError("archive.exists", `${file} exists already`, "choose another name, or say --replace");
}

/** A name that is renamed over: not a device's, a directory's or a link's. */
function refuseSpecial(file: string): void {
  if (lstatSync(file, { throwIfNoEntry: false })?.isFile() === false)
    throw new BerthError(
      "usage.bad-argument",
      `${file} is no regular file`,
      "name a file, or write to stdout with - and redirect it",
    );
}

type Target = {
  readonly fd: number;
  /** Gives the file its name. */
  readonly publish: (replace: boolean) => void;
  readonly discard: () => void;
};

/** linux/fcntl.h: O_TMPFILE without O_DIRECTORY. */
const TMPFILE = 0o20000000 | constants.O_DIRECTORY;

function openTarget(file: string): Target {
  try {
    const fd = openSync(dirname(file), TMPFILE | constants.O_RDWR, 0o600);
    return { fd, publish: (replace) => publishUnnamed(fd, file, replace), discard: () => {} };
  } catch (error) {
    // Network file systems have no files without a name.
    if (errnoOf(error) !== "EOPNOTSUPP" && errnoOf(error) !== "EISDIR") throw asBerthError(error);
    return openNamed(file);
  }
}

const besideOf = (file: string): string => join(dirname(file), `.${basename(file)}.new-${process.pid}`);

function publishUnnamed(fd: number, file: string, replace: boolean): void {
  // A link never takes the place of a file, a rename does.
  const name = replace ? besideOf(file) : file;
  if (replace) rmSync(name, { force: true });
  try {
    linkOpenFile(fd, name);
  } catch (error) {
    if (!replace) refuseExisting(file);
    throw error;
  }
  if (replace) renameSync(name, file);
}

function openNamed(file: string): Target {
  const beside = besideOf(file);
  return {
    fd: openSync(beside, "wx+", 0o600),
    publish: (replace) => {
      if (!replace) refuseExisting(file);
      renameSync(beside, file);
    },
    discard: () => rmSync(beside, { force: true }),
  };
}

/** Everything that `work` writes has reached `fd` when this returns. */
async function filled<T>(
  fd: number,
  file: string,
  compression: Compression,
  work: (write: Write) => Promise<T>,
): Promise<T> {
  if (compression === "none") {
    const { write, flush } = gathering(async (bytes) => writeAll(fd, bytes));
    const result = await work(write);
    await flush();
    return result;
  }
  return await compressing(compression, fd, file, async (pass) => {
    const { write, flush } = gathering(pass);
    const result = await work(write);
    await flush();
    return result;
  });
}

/** Passes on what is written in pieces of `size` bytes; `flush` the rest. */
export function gathering(
  pass: Write,
  size = GATHERED,
): { readonly write: Write; readonly flush: () => Promise<void> } {
  const buffer = Buffer.allocUnsafe(size);
  let length = 0;
  const flush = async (): Promise<void> => {
    if (length > 0) await pass(buffer.subarray(0, length));
    length = 0;
  };
  const write = async (bytes: Uint8Array): Promise<void> => {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + size - length);
      buffer.set(part, length);
      length += part.length;
      at += part.length;
      if (length === size) await flush();
    }
  };
  return { write, flush };
}
