/** Mounting a stopped container's root on the host, for the operator to look and work in. */
import { mkdirSync, readdirSync, realpathSync, statSync } from "node:fs";
import { asBerthError, BerthError, errnoOf } from "../base/errors.ts";
import type { LockedContainer } from "./container.ts";
import { defaultMountPoint, mountSource, removeDefaultPlace } from "./mounted.ts";
import { attachView, viewAttributes } from "./view-root.ts";

export type MountOptions = {
  /** Where; a directory of berth's own when undefined. */
  readonly dir: string | undefined;
  readonly readOnly: boolean;
  /** Links in it lead wherever the guest pointed them, on the host. */
  readonly followSymlinks: boolean;
};

/** Mounts it; gives the place. Throws container.running, container.mounted, container.view-failed, usage.bad-argument. */
export async function mountContainer(container: LockedContainer, options: MountOptions): Promise<string> {
  return await atPlace(container.name, undefined, options.dir, async (place) => {
    await attachView(container, place, mountSource(container.state.uuid), [
      ...viewAttributes,
      ...(options.readOnly ? ["ro"] : []),
      ...(options.followSymlinks ? [] : ["nosymfollow"]),
    ]);
  });
}

/** Runs `mount` with the place to mount on; a place of our own goes again if that fails. */
export async function atPlace(
  name: string,
  snapshot: string | undefined,
  dir: string | undefined,
  mount: (place: string) => Promise<void>,
): Promise<string> {
  const place = dir === undefined ? ownPlace(name, snapshot) : placeOf(dir);
  try {
    await mount(place);
  } catch (error) {
    if (dir === undefined) removeDefaultPlace(name, snapshot);
    throw error;
  }
  return place;
}

function ownPlace(name: string, snapshot: string | undefined): string {
  const place = defaultMountPoint(name, snapshot);
  mkdirSync(place, { recursive: true, mode: 0o700 });
  return place;
}

/** The operator's own directory, links resolved: the mount table and the kernel know it by that name. */
function placeOf(dir: string): string {
  try {
    const place = realpathSync(dir);
    if (!statSync(place).isDirectory()) throw unfit(dir, "it is not a directory");
    if (readdirSync(place).length > 0)
      throw unfit(dir, "it is not empty, and the mount would hide what it holds");
    return place;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") throw unfit(dir, "it does not exist");
    throw asBerthError(error);
  }
}

const unfit = (dir: string, why: string): BerthError =>
  new BerthError(
    "usage.bad-argument",
    `DIR: ${dir} cannot be mounted on: ${why}`,
    "name an empty directory, or none",
  );
