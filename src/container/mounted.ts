/**
 * Whether an operator has the container's root mounted on the host. The kernel's mount table is all that knows: the
 * mount bears the container's uuid as its source.
 */
import { rmdirSync } from "node:fs";
import { BerthError, describeErrno } from "../base/errors.ts";
import { instance } from "../base/paths.ts";
import { mountPointsOf, unmount } from "../kernel/mounts.ts";
import type { Container } from "./container.ts";
import { listSnapshots } from "./snapshots.ts";
import { loadState } from "./store.ts";

type Mountable = { readonly name: string; readonly state: Pick<Container["state"], "uuid"> };

export const mountSource = (uuid: string, snapshot?: string): string =>
  `berth:${uuid}${snapshot === undefined ? "" : `@${snapshot}`}`;

const viewsDir = `${instance.run}/.view`;

/** Where a container is mounted when nobody says where. The directory above lets only root in: what guests may hold is theirs. */
export const defaultMountPoint = (name: string, snapshot?: string): string =>
  `${viewsDir}/${name}${snapshot === undefined ? "" : `@${snapshot}`}`;

/** Where it is mounted on the host, if anywhere; `table` as mountTable() gives it. */
export const mountPoints = ({ state }: Mountable, table?: string): readonly string[] =>
  mountPointsOf(mountSource(state.uuid), table);

/** Where a snapshot of it is mounted, if anywhere. */
export const snapshotMountPoints = ({ state }: Mountable, snapshot: string): readonly string[] =>
  mountPointsOf(mountSource(state.uuid, snapshot));

/** Whether it or a snapshot of it is mounted, by its name alone; a damaged state.json is somebody else's to tell. */
export function isMounted(name: string): boolean {
  try {
    return allMountPoints({ name, state: loadState(name) }).length > 0;
  } catch {
    return false;
  }
}

/** For whatever takes a snapshot's layers away. Throws container.mounted. */
export function refuseMountedSnapshots(container: Mountable, snapshots: readonly string[]): void {
  for (const snapshot of snapshots) {
    const [at] = snapshotMountPoints(container, snapshot);
    if (at === undefined) continue;
    throw new BerthError(
      "container.mounted",
      `snapshot ${snapshot} of container ${container.name} is mounted at ${at}`,
      `berth umount ${container.name}`,
    );
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

/** Where it or a snapshot of it is mounted. */
export const allMountPoints = (container: Mountable): readonly string[] => [
  ...mountPoints(container),
  ...listSnapshots(container.name).flatMap(({ name }) => snapshotMountPoints(container, name)),
];

/** Unmounts it and its snapshots wherever they are mounted; gives the places. Throws container.mounted when something uses one. */
export function unmountContainer(container: Mountable): readonly string[] {
  const points = allMountPoints(container);
  for (const at of points.toReversed()) {
    const errno = unmount(at);
    if (errno !== undefined)
      throw new BerthError(
        "container.mounted",
        `container ${container.name} stays mounted at ${at}: ${describeErrno(errno)}`,
        `\`fuser -vm ${at}\` shows which processes use it: end them, then \`berth umount ${container.name}\``,
      );
  }
  for (const { name } of listSnapshots(container.name)) removeDefaultPlace(container.name, name);
  removeDefaultPlace(container.name);
  return points;
}

/** Empty directories only; those above as well. */
export function removeDefaultPlace(name: string, snapshot?: string): void {
  for (const dir of [defaultMountPoint(name, snapshot), viewsDir]) {
    try {
      rmdirSync(dir);
    } catch {
      return;
    }
  }
}
