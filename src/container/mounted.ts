/**
 * Whether an operator has the container's root mounted on the host. The kernel's mount table is all that knows: the
 * mount bears the container's uuid as its source.
 */
import { rmdirSync } from "node:fs";
import { BerthError, describeErrno } from "../base/errors.ts";
import { instance } from "../base/paths.ts";
import { mountPointsOf, unmount } from "../kernel/mounts.ts";
import type { Container } from "./container.ts";
import { loadState } from "./store.ts";

type Mountable = { readonly name: string; readonly state: Pick<Container["state"], "uuid"> };

export const mountSource = (uuid: string): string => `berth:${uuid}`;

const viewsDir = `${instance.run}/.view`;

/** Where a container is mounted when nobody says where. The directory above lets only root in: what guests may hold is theirs. */
export const defaultMountPoint = (name: string): string => `${viewsDir}/${name}`;

/** Where it is mounted on the host, if anywhere. */
export const mountPoints = ({ state }: Mountable): readonly string[] =>
  mountPointsOf(mountSource(state.uuid));

/** The same for those who know its name alone; a damaged state.json is somebody else's to tell. */
export function isMounted(name: string): boolean {
  try {
    return mountPoints({ name, state: loadState(name) }).length > 0;
  } catch {
    return false;
  }
}

/** For whatever mounts, changes, copies or removes the volume. Throws container.mounted. */
export function refuseMounted(container: Mountable): void {
  const [at] = mountPoints(container);
  if (at === undefined) return;
  throw new BerthError(
    "container.mounted",
    `container ${container.name} is mounted at ${at}`,
    `berth umount ${container.name}`,
  );
}

/** Unmounts it wherever it is mounted; gives the places. Throws container.mounted when something uses one. */
export function unmountContainer(container: Mountable): readonly string[] {
  const points = mountPoints(container);
  for (const at of points.toReversed()) {
    const errno = unmount(at);
    if (errno !== undefined)
      throw new BerthError(
        "container.mounted",
        `container ${container.name} stays mounted at ${at}: ${describeErrno(errno)}`,
        `\`fuser -vm ${at}\` shows which processes use it: end them, then \`berth umount ${container.name}\``,
      );
  }
  removeDefaultPlace(container.name);
  return points;
}

/** Empty directories only; those above as well. */
export function removeDefaultPlace(name: string): void {
  for (const dir of [defaultMountPoint(name), viewsDir]) {
    try {
      rmdirSync(dir);
    } catch {
      return;
    }
  }
}
