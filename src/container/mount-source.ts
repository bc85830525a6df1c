/** What of the host can be shown to a guest. */
import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { instance } from "../base/paths.ts";
import { isWithin } from "../config/mounts.ts";
import { poolPlaces } from "../storage/pool-record.ts";

/** Where a source is, links followed; the names are root's own, and berth-launch follows none any more. */
export const realSource = (source: string): string => realpathSync(source);

const kernels = ["/proc", "/sys"] as const;

/** Why no guest may see it, whoever asks: other guests' files, and what is the kernel's. `path` is a real path. */
export function sourceFault(path: string): string | undefined {
  const own = [instance.lib, instance.run, ...poolPlaces()].map((dir) =>
    existsSync(dir) ? realpathSync(dir) : dir,
  );
  if (own.some((dir) => isWithin(path, dir))) return "berth's own state: no guest may see it";
  const held = own.find((dir) => isWithin(dir, path));
  if (held !== undefined) return `it holds ${held}, berth's own state, which no guest may see`;
  if (kernels.some((dir) => isWithin(path, dir))) return "it is the kernel's: the guest has its own";
  if (isWithin(path, "/dev")) return "it is a device of the host: the guest has its own /dev";
  const found = statSync(path);
  return found.isBlockDevice() || found.isCharacterDevice() ? "it is a device" : undefined;
}

/** Whether every user of the host can search the directory: it, and all above it, let others through. */
export function othersReach(path: string): boolean {
  const found = statSync(path);
  if (found.isDirectory() && (found.mode & 0o001) === 0) return false;
  return path === "/" || othersReach(dirname(path));
}
