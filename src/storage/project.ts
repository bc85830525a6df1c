/**
 * The `project` driver: a directory per container on a pool of ext4 or XFS with project quota. The directory, and so
 * all that the overlay makes in it, belongs to a project of the container's own; its limits hold for everybody without
 * CAP_SYS_RESOURCE on the host (overlayfs drops it), change at once, and `df` in the guest shows them.
 */
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { asBerthError, BerthError } from "../base/errors.ts";
import { syncDir } from "../base/files.ts";
import { projectOf, quotaOf, setGrace, setProject, setQuota } from "../kernel/quota.ts";
import { directoryMethods, renameVolume } from "./directory-volume.ts";
import type { StorageDriver, VolumeLimits, VolumeUsage } from "./driver.ts";
import { refuseBelowUse } from "./limits.ts";
import { poolRoot, readPool, volumeDirectories } from "./pool-record.ts";
import { claimProject, passOnProject, releaseProject } from "./project-ids.ts";
import { removeDirectory } from "./remove.ts";

const NO_LIMITS: VolumeLimits = { bytes: undefined, inodes: undefined };

const hasPool = (): boolean => readPool("project") !== undefined;
const volumeOf = (id: string): string => `${poolRoot("project")}/${id}`;

export const projectDriver: StorageDriver = {
  name: "project",
  enforcesQuota: true,
  refusesLive: () => undefined,
  inodeLimit: "changeable",
  countsLive: true,
  enforcesSoft: true,
  missing,
  userQuotaGap,
  create,
  remove,
  exists: (id) => hasPool() && existsSync(volumeOf(id)),
  volumes: () => (hasPool() ? volumeDirectories(poolRoot("project")) : []),
  resize,
  usage,
  ...directoryMethods(volumeOf),
  rename,
};

async function missing(): Promise<string | undefined> {
  if (!hasPool()) return "it has no pool; `berth pool create --driver project` makes one";
  try {
    // Fails with ESRCH where quota is not on.
    quotaOf(poolRoot("project"), 0);
    return undefined;
  } catch (error) {
    return asBerthError(error).message;
  }
}

async function userQuotaGap(): Promise<string | undefined> {
  try {
    quotaOf(poolRoot("project"), 0, "user");
    return undefined;
  } catch {
    return "its pool was made or mounted without quota of users and groups; a new pool has it";
  }
}

async function create(id: string, limits: VolumeLimits): Promise<void> {
  const root = poolRoot("project");
  const volume = `${root}/${id}`;
  if (existsSync(volume)) throw new BerthError("storage.failed", `the volume ${id} exists already`);
  const fresh = `${root}/.new-${id}`;
  if (existsSync(fresh)) await removeDirectory(fresh);
  const project = claimProject(id, root);
  try {
    mkdirSync(fresh, { mode: 0o755 });
    // Before anything is in it: upper and work inherit the project.
    setProject(fresh, project);
    limit(fresh, project, limits);
    for (const path of ["upper", "work"]) mkdirSync(`${fresh}/${path}`, { mode: 0o755 });
    renameSync(fresh, volume);
    syncDir(root);
  } catch (error) {
    await removeDirectory(fresh);
    setQuota(root, project, NO_LIMITS);
    releaseProject(id, project);
    throw asBerthError(error);
  }
}

/** The grace is the file system's own: the last one that was asked for holds for all of its volumes. */
function limit(directory: string, project: number, limits: VolumeLimits): void {
  if (limits.soft !== undefined) setGrace(directory, limits.soft.grace);
  setQuota(directory, project, limits);
}

async function remove(id: string): Promise<void> {
  if (!hasPool()) return;
  const root = poolRoot("project");
  const there = [volumeOf(id), `${root}/.new-${id}`].filter((path) => existsSync(path));
  const project = there.map((path) => projectOf(path).id).find((found) => found !== 0);
  for (const path of there) await removeDirectory(path);
  if (project !== undefined) setQuota(root, project, NO_LIMITS);
  releaseProject(id, project);
}

function projectOfVolume(id: string): number {
  if (!hasPool() || !existsSync(volumeOf(id)))
    throw new BerthError("storage.failed", `the volume ${id} does not exist`, "remove the container");
  const { id: project } = projectOf(volumeOf(id));
  if (project !== 0) return project;
  throw new BerthError(
    "storage.failed",
    `the volume ${id} belongs to no project: no limit holds for it`,
    "`berth pool check` tells more",
  );
}

async function resize(id: string, limits: VolumeLimits): Promise<void> {
  const project = projectOfVolume(id);
  refuseBelowUse(id, limits, quotaOf(volumeOf(id), project));
  limit(volumeOf(id), project, limits);
}

function usage(id: string): VolumeUsage {
  const { soft: _, ...quota } = quotaOf(volumeOf(id), projectOfVolume(id));
  return { ...quota, allocated: quota.usedBytes };
}

/** Its project goes with it. One that was killed is completed by calling it again. */
async function rename(id: string, to: string): Promise<void> {
  const [from, target] = [volumeOf(id), volumeOf(to)];
  if (existsSync(from) && existsSync(target))
    throw new BerthError("storage.failed", `the volume ${to} exists already`);
  passOnProject(projectOfVolume(existsSync(target) ? to : id), to);
  if (existsSync(from)) renameVolume(from, target);
}
