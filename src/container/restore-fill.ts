/** Fills the volume and the layers of a new container from a backup. */

import { BerthError } from "../base/errors.ts";
import type { Progress } from "../base/progress.ts";
import { formatSize } from "../base/units.ts";
import { backupPolicy } from "../storage/archive/backup-policy.ts";
import type { Backup } from "../storage/archive/backup-reader.ts";
import { splitTrees, type Trees } from "../storage/archive/backup-trees.ts";
import { layerPrefix, processesPrefix, rootPrefix, upperPrefix } from "../storage/archive/backup-writer.ts";
import type { Member } from "../storage/archive/member.ts";
import { unpack } from "../storage/archive/unpack.ts";
import { storageDriver } from "../storage/drivers.ts";
import { must } from "../storage/program.ts";
import type { LockedContainer } from "./container.ts";
import { diskLimits } from "./disk-limits.ts";
import type { ProcessTaker } from "./restore.ts";
import { saveState } from "./store.ts";

/** Limits are the volume's. */
const noLimits = {
  size: Number.POSITIVE_INFINITY,
  space: Number.POSITIVE_INFINITY,
  entries: Number.POSITIVE_INFINITY,
} as const;

/** A failure leaves what makeContainer removes. */
export async function fillFromBackup(
  container: LockedContainer,
  backup: Backup,
  progress: Progress,
  taker: ProcessTaker | undefined,
): Promise<void> {
  const trees = splitTrees(backup.trees());
  try {
    if (backup.manifest.kind === "whole") await fillVolume(container, trees, rootPrefix, false);
    else await fillLayers(container, trees);
    if (backup.manifest.processes)
      await (taker === undefined
        ? passOver(trees.at(processesPrefix))
        : taker.take(container, backup, (images) => unpackTree(trees, processesPrefix, images, 0, false)));
    await trees.end();
  } catch (error) {
    throw spaceHint(error, container);
  } finally {
    await trees.close();
  }
  mustFit(container, "the backup", MORE);
  progress.signal.throwIfAborted();
}

/** Reads what nobody wants: its hash counts. */
async function passOver(members: AsyncGenerator<Member>): Promise<void> {
  for await (const member of members) void member;
}

async function fillLayers(container: LockedContainer, trees: Trees): Promise<void> {
  const { name, state } = container;
  const { baseUid } = state;
  const layers = state.layers.map((layer) => ({ ...layer, baseUid }));
  for (const [index, { id, storage }] of layers.entries()) {
    const driver = storageDriver(storage);
    await driver.create(id, diskLimits(container.config));
    await driver.withVolume(id, async (dir) => {
      await unpackTree(trees, layerPrefix(index), `${dir}/upper`, baseUid, true);
    });
    await driver.seal(id);
  }
  saveState(name, { ...state, layers });
  await fillVolume({ ...container, state: { ...state, layers } }, trees, upperPrefix, true);
}

async function fillVolume(
  { state }: LockedContainer,
  trees: Trees,
  prefix: string,
  isLayer: boolean,
): Promise<void> {
  await storageDriver(state.storage).withVolume(state.uuid, async (dir) => {
    await unpackTree(trees, prefix, `${dir}/upper`, state.baseUid, isLayer);
  });
}

async function unpackTree(
  trees: Trees,
  prefix: string,
  root: string,
  baseUid: number,
  isLayer: boolean,
): Promise<void> {
  await unpack(trees.at(prefix), root, backupPolicy(baseUid, isLayer), noLimits);
  await must("storage.failed", `cannot write ${root} to disk`, "sync", ["-f", "--", root]);
}

/** The host's root may write past a quota: what does not fit is found here. */
export function mustFit({ name, config, state }: LockedContainer, what: string, hint: string): void {
  const { usedBytes = 0, usedInodes = 0, bytes, inodes } = storageDriver(state.storage).usage(state.uuid);
  if (usedBytes <= (bytes ?? usedBytes) && usedInodes <= (inodes ?? usedInodes)) return;
  throw new BerthError(
    "host.no-space",
    `${what} needs ${formatSize(usedBytes)} and ${usedInodes} files, more than the limits of ${name} (${formatSize(config.disk ?? 0)}, ${inodes ?? "any number of"} files)`,
    hint,
  );
}

const MORE =
  "give it more with --disk and --inodes: in a container restored from a whole backup the template's files count too";

function spaceHint(error: unknown, { name }: LockedContainer): unknown {
  if (!(error instanceof BerthError) || error.code !== "host.no-space") return error;
  return new BerthError(error.code, `${name} cannot be restored: ${error.message}`, MORE, error);
}
