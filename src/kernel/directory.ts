/** Calls that work on an open directory. */
import { closeSync, constants, openSync } from "node:fs";

/** Runs `work` on a descriptor of the directory. */
export function withDirectory<T>(path: string, work: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
