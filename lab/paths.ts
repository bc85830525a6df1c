/** Where the lab keeps things: the cache (lasting) and the session's two directories (gone when the process is gone). */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** The project's root directory. */
export const projectDir = resolve(import.meta.dir, "..");

/** The directory with everything that goes into a guest. */
export const guestDir = join(import.meta.dir, "guest");

/** The lab's cache directory, made when missing: `BERTH_LAB_CACHE`, or `.cache/lab` in the project. */
export function cacheDir(): string {
  const dir = resolve(process.env.BERTH_LAB_CACHE ?? join(projectDir, ".cache", "lab"));
  mkdirSync(dir, { recursive: true });
  return dir;
}
