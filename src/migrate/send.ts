/** What the source sends of a container that is still or runs: template, layers, files, limits. */
import { BerthError } from "../base/errors.ts";
import type { Progress } from "../base/progress.ts";
import { copyUpAliasesOf, withLayerTrees } from "../container/aliases.ts";
import type { LockedContainer } from "../container/container.ts";
import { userLimitsOf } from "../container/user-limits.ts";
import { nothingWritten, type Written, writeGuestTree } from "../storage/archive/backup-writer.ts";
import { endOfArchive } from "../storage/archive/tar-block.ts";
import { writeTree } from "../storage/archive/tar-writer.ts";
import { storageDriver } from "../storage/drivers.ts";
import { readTemplate } from "../storage/templates.ts";
import type { Offer } from "./messages.ts";
import type { MigrateRequest } from "./source.ts";
import type { SourceLine } from "./source-line.ts";
import type { Stages } from "./stages.ts";
import type { Terms } from "./terms.ts";
import { nothingSent, sendPass } from "./tree-send.ts";

/** One migration, both sides of which have agreed. */
export type Move = {
  readonly container: LockedContainer;
  readonly request: MigrateRequest;
  readonly progress: Progress;
  readonly line: SourceLine;
  readonly stages: Stages;
  readonly offer: Offer;
  readonly terms: Terms;
};

/** Sends the template, which the other side has not. */
export async function sendTemplate({ line, offer, progress }: Move): Promise<void> {
  const { digest } = offer.manifest.template;
  const template = readTemplate(digest);
  if (template === undefined)
    throw new BerthError("template.not-found", `the template ${digest.slice(0, 12)} is gone`);
  await line.askWithBulk({ type: "template" }, async (write) => {
    await writeTree(template.rootfs, write, {
      prefix: "./",
      owner: (id) => id,
      xattr: (xattr) => xattr,
      signal: progress.signal,
    });
    await write(endOfArchive);
  });
}

/** Layers from top to bottom, its own volume, and the limits of its users. Nobody writes to them meanwhile. */
export async function sendFiles(move: Move): Promise<void> {
  const { container, line, progress } = move;
  const { state } = container;
  const written = nothingWritten();
  await sendLayers(move, written);
  await storageDriver(state.storage).withVolume(state.uuid, async (dir) => {
    const tree = { path: `${dir}/upper`, baseUid: state.baseUid, live: false };
    await sendPass(line, tree, nothingSent, written, progress);
  });
  await sendUserLimits(move);
}

/** Frozen layers, from top to bottom. */
export async function sendLayers({ container, line, progress }: Move, written: Written): Promise<void> {
  const { state } = container;
  await copyUpAliasesOf(container);
  await withLayerTrees(state.layers, async (paths) => {
    for (const [index, path] of paths.entries())
      await line.askWithBulk({ type: "layer", index }, async (write) => {
        const baseUid = state.layers[index]?.baseUid ?? 0;
        await writeGuestTree({ prefix: "./", path, baseUid }, true, write, written, {
          onBytes: () => {},
          signal: progress.signal,
        });
        await write(endOfArchive);
      });
  });
}

/** The limits of its users and groups. */
export async function sendUserLimits({ container, line }: Move): Promise<void> {
  const { uuid: id, storage, baseUid } = container.state;
  const limits = await userLimitsOf(container, { id, storage, baseUid });
  if (limits.length === 0) return;
  await line.ask({
    type: "quotas",
    quotas: limits.map(({ kind, id: one, bytes, inodes, soft }) => ({
      ...{ kind, id: one, bytes: bytes ?? null, inodes: inodes ?? null },
      ...{ softBytes: soft?.bytes ?? null, softInodes: soft?.inodes ?? null },
    })),
  });
}
