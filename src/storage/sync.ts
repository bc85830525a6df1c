/** Making what was written last. */
import { must } from "./program.ts";

/** All that was written to the file system of `dir` outlasts a power cut once this resolves. Throws storage.failed, host.no-space. */
export const syncFileSystem = async (dir: string): Promise<void> =>
  void (await must("storage.failed", `cannot write ${dir} to disk`, "sync", ["-f", "--", dir]));
