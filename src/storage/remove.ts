/** Removing trees that a guest filled. */
import { must } from "./program.ts";

/**
 * Removes a directory with all that is in it, on one file system; fine when it is not there. rm(1) goes by
 * directory fds: names of any bytes and trees deeper than PATH_MAX, which a guest can make, are no obstacle.
 */
export async function removeDirectory(path: string): Promise<void> {
  await must("storage.failed", `cannot remove ${path}`, "rm", ["-rf", "--one-file-system", "--", path]);
}
