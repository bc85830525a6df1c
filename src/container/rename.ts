/** Giving a stopped container another name. */
import { existsSync, readFileSync, renameSync } from "node:fs";
import { syncDir, writeAtomic } from "../base/files.ts";
import { containerPaths, instance } from "../base/paths.ts";
import { renameHeading } from "../config/new.ts";
import { type LockedContainer, mustBeIdle } from "./container.ts";
import { nameTaken } from "./create.ts";
import { dropLockFile, withLock } from "./lock.ts";
import { checkName, checkNumber } from "./name.ts";
import { recover } from "./recover.ts";
import { releaseRuntime } from "./start.ts";

/** One rename of its directory decides; logs and the record of its last end follow. */
export async function renameContainer(container: LockedContainer, to: string): Promise<void> {
  const { name, config, lock } = container;
  checkName(to);
  mustBeIdle(container, "its links and cgroups carry its name");
  if (to === name) throw nameTaken(to);
  await withLock(to, async (other) => {
    if (await recover(other)) throw nameTaken(to);
    try {
      checkNumber(to, config.ctid, name);
      releaseRuntime(name);
      const file = containerPaths(name).config;
      writeAtomic(file, renameHeading(readFileSync(file, "utf8"), name, to));
      const [before, after] = [containerPaths(name), containerPaths(to)];
      renameSync(before.dir, after.dir);
      syncDir(`${instance.lib}/containers`);
      for (const [from, target] of [
        [before.run, after.run],
        [before.consoleLog, after.consoleLog],
        [`${before.consoleLog}.1`, `${after.consoleLog}.1`],
        [before.dumpLog, after.dumpLog],
        [before.restoreLog, after.restoreLog],
      ] as const)
        if (existsSync(from)) renameSync(from, target);
    } catch (error) {
      if (!existsSync(containerPaths(to).dir)) dropLockFile(other);
      throw error;
    }
  });
  dropLockFile(lock);
}
