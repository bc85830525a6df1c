/**
 * Backups of containers: written from what stands still. A stopped one is read in place under its lock; of a running one what
 * it has written is copied as for a snapshot, and the backup is made of that copy while the guest runs on.
 */
import { readFileSync } from "node:fs";
import { containerPaths } from "../base/paths.ts";
import type { Progress } from "../base/progress.ts";
import { version } from "../base/version.ts";
import { type BackupKind, type Manifest, newManifest } from "../storage/archive/backup-manifest.ts";
import {
  type BackupWriter,
  layerPrefix,
  processesPrefix,
  rootPrefix,
  startBackup,
  upperPrefix,
  type Written,
} from "../storage/archive/backup-writer.ts";
import { type Output, withArchiveFile } from "../storage/archive/output.ts";
import { architecture } from "../storage/distributions.ts";
import type { Layer } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { copyUpAliasesOf, withLayerTrees } from "./aliases.ts";
import type { LockedContainer } from "./container.ts";
import { type Remember, withStillLayers } from "./freeze-layers.ts";
import { refuseMounted } from "./mounted.ts";
import { statusOf } from "./status.ts";
import { templateOf } from "./templates.ts";
import { withLayersView, withView } from "./view-root.ts";

export type BackupRequest = Output & {
  readonly kind: BackupKind;
  /** Absent, only the disk is kept. */
  readonly processes?: BackupProcesses;
};

/** The guest's processes, which come along. */
export type BackupProcesses = {
  /** Writes those of a running guest down; those of a suspended one are there. */
  readonly remember: Remember | undefined;
  /** What is known of them, and the directory of their images: asked for when they are there. */
  readonly found: () => { readonly text: string; readonly images: string };
};

export type BackupResult = {
  readonly manifest: Manifest;
  /** Of the archive before it was compressed. */
  readonly sha256: string;
  /** How long the guest stood still, in milliseconds. */
  readonly frozen: number;
} & Readonly<Written>;

/** What is copied, all of which stays as it is meanwhile. */
type Still = {
  /** From top to bottom. */
  readonly layers: readonly Layer[];
  readonly running: boolean;
  readonly milliseconds: number;
};

/** Writes the backup, which appears whole or not at all; the container is as it was. */
export async function backupContainer(
  container: LockedContainer,
  request: BackupRequest,
  progress: Progress,
): Promise<BackupResult> {
  refuseMounted(container);
  const result = await withArchiveFile(
    request,
    progress,
    async (write) =>
      await withStill(container, request, progress, async (still) => {
        const manifest = manifestOf(container, request, still);
        const config = readFileSync(containerPaths(container.name).config, "utf8");
        progress.emit({ type: "step", label: `writing the backup of ${container.name}` });
        const advance = advancing(container, request.kind, progress);
        const writer = await startBackup(write, manifest, config, {
          onBytes: advance.onBytes,
          signal: progress.signal,
        });
        const processes = request.processes?.found();
        if (processes !== undefined) await writer.describeProcesses(processes.text);
        await (request.kind === "whole" ? writeRoot : writeLayers)(container, still, writer);
        if (processes !== undefined)
          await writer.tree({ prefix: processesPrefix, path: processes.images, baseUid: 0 });
        const written = await writer.end();
        advance.end(written.bytes);
        return { manifest, frozen: still.milliseconds, ...written };
      }),
  );
  tellLosses(container.name, result, progress);
  return result;
}

async function withStill<T>(
  container: LockedContainer,
  { processes }: BackupRequest,
  progress: Progress,
  work: (still: Still) => Promise<T>,
): Promise<T> {
  const { name, state } = container;
  if (statusOf(name).state !== "stopped")
    return await withStillLayers(container, progress, work, processes?.remember);
  const own: Layer = { id: state.uuid, storage: state.storage, baseUid: state.baseUid };
  return await work({ layers: [own, ...state.layers], running: false, milliseconds: 0 });
}

async function writeRoot(container: LockedContainer, still: Still, writer: BackupWriter): Promise<void> {
  const { baseUid } = container.state;
  const write = async (path: string): Promise<void> =>
    await writer.tree({ prefix: rootPrefix, path, baseUid });
  if (still.running) await withLayersView(container, still.layers, write);
  else await withView(container, { readOnly: true, suspended: true }, write);
}

async function writeLayers(container: LockedContainer, still: Still, writer: BackupWriter): Promise<void> {
  if (!still.running) await copyUpAliasesOf(container);
  const [top, ...lower] = still.layers;
  if (top === undefined) return;
  await withLayerTrees(lower, async (paths) => {
    for (const [index, path] of paths.entries())
      await writer.tree({ prefix: layerPrefix(index), path, baseUid: lower[index]?.baseUid ?? 0 });
  });
  const mode = still.running ? "ro" : "rw"; // a volume may have a journal to replay
  await storageDriver(top.storage).withVolume(
    top.id,
    async (dir) => await writer.tree({ prefix: upperPrefix, path: `${dir}/upper`, baseUid: top.baseUid }),
    mode,
  );
}

function manifestOf(
  { name, config, state }: LockedContainer,
  { kind, processes }: BackupRequest,
  { layers, running }: Still,
): Manifest {
  const { metadata, digest } = templateOf(state);
  return newManifest({
    ...{ kind, name, uuid: state.uuid, created: new Date().toISOString(), running },
    privileged: config.privileged,
    architecture,
    template: {
      name: config.template,
      digest,
      distribution: metadata.distribution,
      release: metadata.release,
      haltSignal: config.stop.signal ?? metadata.haltSignal,
    },
    storage: state.storage,
    layers: kind === "whole" ? 0 : layers.length - 1,
    ...{ baseUid: state.baseUid, mac: state.mac, address: state.address },
    ...{ berth: version, processes: processes !== undefined },
  });
}

const TELL_MILLISECONDS = 100;

/** Tells how much has been written; the end is known where the storage driver counts, and roughly. */
function advancing({ name, state }: LockedContainer, kind: BackupKind, { emit }: Progress) {
  const total = expectedBytes(state, kind);
  const label = `backup of ${name}`;
  let told = 0;
  return {
    onBytes: (done: number): void => {
      if (performance.now() - told < TELL_MILLISECONDS) return;
      told = performance.now();
      // Counted in blocks, shared with what the guest has removed: an estimate must not seem to be the end.
      const end = total === undefined ? undefined : Math.max(total, done + 1);
      emit({ type: "advance", label, done, total: end, unit: "bytes" });
    },
    end: (done: number): void => emit({ type: "advance", label, done, total: done, unit: "bytes" }),
  };
}

function expectedBytes(state: LockedContainer["state"], kind: BackupKind): number | undefined {
  const own = { id: state.uuid, storage: state.storage };
  try {
    const used = [own, ...state.layers].map(({ id, storage }) => storageDriver(storage).usage(id).usedBytes);
    if (used.includes(undefined)) return undefined;
    const template = kind === "whole" ? templateOf(state).metadata.size : 0;
    return used.reduce<number>((sum, bytes) => sum + (bytes ?? 0), template);
  } catch {
    return undefined; // an estimate is not worth a backup
  }
}

function tellLosses(name: string, { tooDeep, foreign }: Written, { emit }: Progress): void {
  if (tooDeep > 0)
    emit({
      type: "warning",
      text: `${tooDeep} names of ${name} are not in the backup: they lie in more than 256 directories, or their paths are longer than 3500 bytes`,
    });
  if (foreign > 0)
    emit({
      type: "warning",
      text: `${foreign} owners of files of ${name} are none of its ids: nobody has them now`,
    });
}
