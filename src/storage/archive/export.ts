/** A template as a tar file that any other program can unpack. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { asBerthError, BerthError } from "../../base/errors.ts";
import { syncDir } from "../../base/files.ts";
import { type Progress, silent } from "../../base/progress.ts";
import { writeAll } from "../../kernel/terminal.ts";
import type { Template } from "../templates.ts";
import { writeTree } from "./tar-writer.ts";

/**
 * Writes the template's tree to `file`, which appears whole or not at all; a file of that name is replaced. With "-"
 * it goes to stdout as it comes.
 */
export async function exportTemplate(
  { rootfs }: Template,
  file: string,
  progress: Progress = silent,
): Promise<void> {
  if (file === "-") return await writeTree(rootfs, (bytes) => writeAll(1, bytes), progress.signal);
  const fresh = `${file}.new-${process.pid}`;
  try {
    const fd = openSync(fresh, "wx", 0o600);
    try {
      await writeTree(rootfs, (bytes) => writeAll(fd, bytes), progress.signal);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, file);
    syncDir(dirname(file));
  } catch (error) {
    rmSync(fresh, { force: true });
    if (progress.signal.aborted)
      throw new BerthError("storage.failed", `writing ${file} was interrupted`, "", error);
    throw asBerthError(error);
  }
}
