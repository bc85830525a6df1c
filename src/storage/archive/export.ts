/** A template as a tar file that any other program can unpack. */
import { type Progress, silent } from "../../base/progress.ts";
import type { Template } from "../templates.ts";
import { withArchiveFile } from "./output.ts";
import { endOfArchive } from "./tar-block.ts";
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
  await withArchiveFile({ file, compression: "none", replace: true }, progress, async (write) => {
    await writeTree(rootfs, write, {
      prefix: "./",
      owner: (id) => id,
      xattr: (xattr) => xattr,
      signal: progress.signal,
    });
    await write(endOfArchive);
  });
}
