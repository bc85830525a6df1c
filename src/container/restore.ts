/** Restoring a backup: as a new container, whole or not at all. */
import { BerthError } from "../base/errors.ts";
import type { Progress } from "../base/progress.ts";
import { renameHeading } from "../config/new.ts";
import { type ConfigChanges, changeConfig } from "../config/parse.ts";
import { checkArchitecture, type Manifest } from "../storage/archive/backup-manifest.ts";
import { type Backup, withBackup } from "../storage/archive/backup-reader.ts";
import { architecture } from "../storage/distributions.ts";
import type { DriverName } from "../storage/driver.ts";
import { chooseDriver, storageDriver } from "../storage/drivers.ts";
import { emptyTemplate } from "../storage/empty.ts";
import { haltSignals } from "../storage/init-kind.ts";
import { readTemplate } from "../storage/templates.ts";
import type { LockedContainer } from "./container.ts";
import { type Ground, hasTwin, makeContainer, nameTaken, needDriver } from "./create.ts";
import { newLayerId } from "./layers.ts";
import { checkName, containerNames } from "./name.ts";
import { recoverIdle } from "./recover.ts";
import { fillFromBackup } from "./restore-fill.ts";
import { type ContainerState, hostConfig } from "./store.ts";

export type RestoreRequest = {
  /** A path, or "-" for stdin. */
  readonly file: string;
  /** The container's name instead of that in the backup. */
  readonly name: string | undefined;
  readonly storage: DriverName | undefined;
  /** Settings that it shall have otherwise. */
  readonly settings: ConfigChanges;
  /** Whether it is the same one: UUID, MAC, machine id, and its address if that is free. */
  readonly sameIdentity: boolean;
  /** Whether directories of the host and volumes that the backup's settings mount are left out. */
  readonly withoutMounts: boolean;
  /** Takes the processes of a backup that has some; absent, they are left aside. */
  readonly processes?: ProcessTaker;
};

/** Both throw what stands in the way. */
export type ProcessTaker = {
  /** Looks before anything is made. */
  readonly check: (backup: Backup) => Promise<void>;
  /** Puts them where they wait to be resumed; `unpack` puts their images into a directory. */
  readonly take: (
    container: LockedContainer,
    backup: Backup,
    unpack: (images: string) => Promise<void>,
  ) => Promise<void>;
};

export type RestoreResult = {
  readonly name: string;
  readonly state: ContainerState;
  readonly manifest: Manifest;
};

/** Looks at the whole backup first: one that is damaged touches nothing. */
export async function restoreContainer(request: RestoreRequest, progress: Progress): Promise<RestoreResult> {
  if (request.name !== undefined) await mustBeFree(request.name);
  try {
    return await restoreWhole(request, progress);
  } catch (error) {
    if (progress.signal.aborted)
      throw new BerthError("storage.failed", `restoring ${request.file} was interrupted`, "", error);
    throw error;
  }
}

async function restoreWhole(request: RestoreRequest, progress: Progress): Promise<RestoreResult> {
  return await withBackup(request.file, progress, async (backup) => {
    const { manifest } = backup;
    const name = request.name ?? manifest.name;
    await mustBeFree(name);
    checkArchitecture(manifest, architecture);
    const taker = manifest.processes ? request.processes : undefined;
    await taker?.check(backup);
    // Its connections are bound to its address, and its memory knows its machine id.
    const same = request.sameIdentity || (taker !== undefined && !hasTwin(manifest.uuid));
    const text = configText(name, backup, { ...request, sameIdentity: same });
    const ground = await groundOf(manifest, request.storage);
    progress.emit({ type: "step", label: `restoring ${name}` });
    const state = await makeContainer(
      name,
      text,
      ground,
      async (container) => await fillFromBackup(container, backup, progress, taker),
      same ? manifest : undefined,
    );
    return { name, state, manifest };
  });
}

/** Only looks at the backup. */
export async function checkBackup(
  file: string,
  progress: Progress,
): Promise<{ readonly manifest: Manifest; readonly sha256: string }> {
  return await withBackup(file, progress, async ({ manifest, sha256 }) => ({ manifest, sha256 }));
}

/** A creation that was cut short is undone first. */
async function mustBeFree(name: string): Promise<void> {
  checkName(name);
  await recoverIdle([name].filter((there) => containerNames().includes(there)));
  if (containerNames().includes(name)) throw nameTaken(name);
}

/** What names the one that was backed up, and nobody else. */
function changesOf(
  name: string,
  { manifest }: Backup,
  { settings, sameIdentity, withoutMounts }: RestoreRequest,
): ConfigChanges {
  const dropped = [
    ...(sameIdentity ? [] : ["network.address"]),
    ...(withoutMounts ? ["mounts"] : []),
    ...(name === manifest.name ? [] : ["ctid", "hostname"]),
  ];
  const { haltSignal } = manifest.template;
  // The empty template knows no init.
  const keepsSignal = manifest.kind === "whole" && haltSignal !== haltSignals.other;
  return [
    ...dropped.map((key) => ({ path: key.split("."), value: null })),
    ...(keepsSignal ? [{ path: ["stop", "signal"], value: haltSignal }] : []),
    ...settings,
  ];
}

function configText(name: string, backup: Backup, request: RestoreRequest): string {
  const before = renameHeading(backup.config, backup.manifest.name, name);
  return changeConfig(
    before,
    `config.yaml of the backup of ${backup.manifest.name}`,
    changesOf(name, backup, request),
  ).text;
}

async function groundOf(manifest: Manifest, wanted: DriverName | undefined): Promise<Ground> {
  const storage = wanted ?? hostConfig().storage ?? (await formerOrBest(manifest.storage));
  await needDriver(storage);
  if (manifest.kind === "whole") {
    const { digest } = await emptyTemplate();
    return { template: digest, storage, layers: [] };
  }
  const { digest } = templateOfBackup(manifest);
  const layers = Array.from({ length: manifest.layers }, () => ({ id: newLayerId(), storage, baseUid: 0 }));
  return { template: digest, storage, layers };
}

/** The driver that it had, where that works here. */
export async function formerOrBest(former: DriverName): Promise<DriverName> {
  return (await storageDriver(former).missing()) === undefined ? former : await chooseDriver();
}

function templateOfBackup({ name, template }: Manifest): { readonly digest: string } {
  if (readTemplate(template.digest) !== undefined) return template;
  throw new BerthError(
    "template.not-found",
    `the backup of ${name} holds what lies over template ${template.name}, and that is not here: ${template.digest}`,
    `where it was made: \`berth template export ${template.digest.slice(0, 12)} template.tar\`; here: \`berth template import ${template.name} template.tar --no-polish\``,
  );
}
