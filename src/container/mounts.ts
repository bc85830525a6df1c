/** What a container mounts: looked up and checked when it is set, and again before anything is started. */
import { writeFileSync } from "node:fs";
import { BerthError, describeErrno, errnoOf } from "../base/errors.ts";
import { readIfExists } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { isVolume, type Mount } from "../config/mounts.ts";
import type { ContainerConfig } from "../config/schema.ts";
import type { PlanRecord } from "../kernel/plan.ts";
import type { GuestMount } from "../launch/plan.ts";
import { needVolume, openVolume, volumeMountRecords } from "../storage/volumes.ts";
import { othersReach, realSource, sourceFault } from "./mount-source.ts";

export type ResolvedMounts = {
  readonly mounts: readonly GuestMount[];
  readonly volumeRecords: readonly PlanRecord[];
  /** What the operator should know: links that were followed, sources left out. */
  readonly notes: readonly string[];
};

export const noMounts: ResolvedMounts = { mounts: [], volumeRecords: [], notes: [] };

type Configured = {
  readonly name: string;
  readonly config: Pick<ContainerConfig, "privileged"> & { readonly mounts: readonly Mount[] };
};

/** The names of the volumes that the settings mount, each once. */
export const volumesOf = (config: { readonly mounts: readonly Mount[] }): readonly string[] => [
  ...new Set(config.mounts.filter(isVolume).map(({ source }) => source)),
];

/** Finds every source. Throws container.start-failed that names the mount, or volume.not-found. */
export async function resolveMounts({ name, config }: Configured): Promise<ResolvedMounts> {
  const volumes = volumesOf(config);
  const idOf = (volume: string): string => `volume${volumes.indexOf(volume)}`;
  const records = await Promise.all(
    volumes.map(async (volume) => volumeMountRecords(await openVolume(volume), idOf(volume))),
  );
  const found = config.mounts.map((mount) =>
    isVolume(mount)
      ? { mount: { ...mount, source: `@${idOf(mount.source)}/data` }, note: undefined }
      : resolvePath(name, mount),
  );
  return {
    mounts: found.flatMap(({ mount }) => mount ?? []),
    volumeRecords: records.flat(),
    notes: found.flatMap(({ note }) => note ?? []),
  };
}

type Resolved = { readonly mount: GuestMount | undefined; readonly note: string | undefined };

function resolvePath(name: string, mount: Mount): Resolved {
  const { source, target, options } = mount;
  try {
    const real = realSource(source);
    const fault = sourceFault(real);
    if (fault !== undefined) throw unusable(name, mount, fault, "choose another source");
    const note = real === source ? undefined : `${name}: ${target} shows ${real}, to which ${source} leads`;
    return { mount: { ...mount, source: real }, note };
  } catch (error) {
    const errno = errnoOf(error);
    if (error instanceof BerthError || errno === undefined) throw error;
    if (errno === "ENOENT" && options.includes("optional"))
      return { mount: undefined, note: `${name}: ${target} is not mounted: there is no ${source}` };
    throw unusable(
      name,
      mount,
      errno === "ENOENT" ? "it does not exist" : describeErrno(errno),
      `make it, or \`berth set ${name} --unmount ${target}\`; with the option optional a guest starts without it`,
    );
  }
}

const unusable = (name: string, { source, target }: Mount, why: string, hint: string): BerthError =>
  new BerthError(
    "container.start-failed",
    `container ${name}: mounts: ${source} (for ${target}): ${why}`,
    hint,
  );

/** Refuses new mounts that no start would accept. The locks of the volumes are held. */
export function checkMounts({ config }: Pick<Configured, "config">, before: readonly Mount[]): void {
  const added = newMounts(config.mounts, before);
  for (const volume of volumesOf({ mounts: added })) needVolume(volume);
  for (const { source, target } of added.filter((mount) => !isVolume(mount))) {
    const fault = ifThere(source, sourceFault);
    if (fault !== undefined)
      throw new BerthError(
        "config.invalid",
        `mounts: ${source} (for ${target}): ${fault}`,
        "choose another source",
      );
  }
}

/** Those that are not among the others just so. */
export function newMounts(mounts: readonly Mount[], others: readonly Mount[]): readonly Mount[] {
  const known = new Set(others.map((mount) => JSON.stringify(mount)));
  return mounts.filter((mount) => !known.has(JSON.stringify(mount)));
}

/** What an operator should know of mounts that are new. */
export function mountWarnings({ name, config }: Configured, before: readonly Mount[]): readonly string[] {
  const added = newMounts(config.mounts, before);
  if (added.length === 0) return [];
  return [
    ...new Set(added.flatMap((mount) => pathWarning(mount, config.privileged) ?? [])),
    // Said with the first one: a further mount takes nothing more away.
    ...(before.length === 0
      ? [
          `${name} can be neither suspended nor migrated while it mounts ${added.map(({ source }) => source).join(", ")} of this host`,
        ]
      : []),
  ];
}

function pathWarning(mount: Mount, privileged: boolean): string | undefined {
  const { source, target, options } = mount;
  if (isVolume(mount)) return undefined;
  const writable = !options.includes("ro") && (privileged || !options.includes("noidmap"));
  const reached = ifThere(source, (real) => othersReach(real));
  if (reached === undefined)
    return `${source} (for ${target}) does not exist${options.includes("optional") ? "" : ": the container will not start without it"}`;
  return writable && reached
    ? `the guest's root can put set-uid programs into ${source}, and every user of this host can run them: \`chmod o-x\` it or a directory above it, or mount it ro`
    : undefined;
}

/** undefined when there is no such source now. */
function ifThere<T>(source: string, look: (real: string) => T): T | undefined {
  try {
    return look(realSource(source));
  } catch {
    return undefined;
  }
}

/** Notes which volumes a guest gets, beside those it has: its settings may change while it runs. */
export function recordVolumes({ name, config }: Configured): void {
  const volumes = [...new Set([...recordedVolumes(name), ...volumesOf(config)])];
  if (volumes.length > 0) writeFileSync(containerPaths(name).volumes, volumes.join("\n"), { mode: 0o600 });
}

/** Those that it got since its last start. */
export const recordedVolumes = (name: string): readonly string[] =>
  (readIfExists(containerPaths(name).volumes) ?? "").split("\n").filter(Boolean);
