/** Removing a container with everything it has. */
import { existsSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";
import { declareIntent } from "./intent.ts";
import { dropLockFile, withLock } from "./lock.ts";
import { refuseMounted, refuseMountedSnapshots, unmountContainer } from "./mounted.ts";
import { resolveName } from "./name.ts";
import { discard, recover } from "./recover.ts";
import { removeShared } from "./shared.ts";
import { listSnapshots } from "./snapshots.ts";
import { statusOf } from "./status.ts";
import { stopContainer } from "./stop.ts";
import { loadConfigLeniently, loadState } from "./store.ts";

/** Removes it; one that runs or is mounted only with `force`, which kills it or unmounts it first. */
export async function removeContainer(word: string, force: boolean): Promise<void> {
  const name = resolveName(word);
  await withLock(name, async (lock) => {
    if (!(await recover(lock))) {
      dropLockFile(lock);
      return;
    }
    if (!existsSync(containerPaths(name).state)) {
      throw new BerthError(
        "config.unreadable",
        `container ${name} has no state.json: berth cannot know what belongs to it`,
        `restore ${containerPaths(name).state} from a backup`,
      );
    }
    const state = loadState(name);
    if (statusOf(name).state !== "stopped") {
      if (!force)
        throw new BerthError(
          "container.running",
          `container ${name} is running`,
          `berth stop ${name}, or berth rm --force ${name}`,
        );
      await stopContainer(
        { name, lock, state, config: loadConfigLeniently(name) },
        { kill: true, timeout: undefined, stayDown: true },
      );
    }
    if (force) unmountContainer({ name, state });
    else {
      refuseMounted({ name, state });
      refuseMountedSnapshots(
        { name, state },
        listSnapshots(name).map((snapshot) => snapshot.name),
      );
    }
    declareIntent(name, { operation: "remove", uuid: state.uuid, storage: state.storage });
    await discard(lock, state);
    dropLockFile(lock);
  });
  await removeShared();
}
