/**
 * The source's story: look, copy, ask for the switch, leave. Until the destination has noted that the container is its
 * own, whatever fails leaves it here as it was.
 */
import { asBerthError, BerthError } from "../base/errors.ts";
import { orInterrupted, type Progress } from "../base/progress.ts";
import { cgroupHome } from "../checkpoint/cgroup-tree.ts";
import { type CheckpointRecord, imagesDir } from "../checkpoint/record.ts";
import { resumeContainer } from "../checkpoint/resume.ts";
import { writeDown } from "../checkpoint/suspend.ts";
import { copyUpAliasesOf, withLayerTrees } from "../container/aliases.ts";
import { type LockedContainer, withContainer } from "../container/container.ts";
import { type Destination, declareIntent, type IntentOf } from "../container/intent.ts";
import { dropLockFile } from "../container/lock.ts";
import { leave, stay } from "../container/recover.ts";
import { startContainer } from "../container/start.ts";
import { statusOf } from "../container/status.ts";
import { stopContainer } from "../container/stop.ts";
import { loadState, saveState } from "../container/store.ts";
import { userLimitsOf } from "../container/user-limits.ts";
import { nothingWritten, type Written, writeGuestTree } from "../storage/archive/backup-writer.ts";
import { endOfArchive } from "../storage/archive/tar-block.ts";
import { writeTree } from "../storage/archive/tar-writer.ts";
import type { DriverName } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { readTemplate } from "../storage/templates.ts";
import type { Fault, Offer } from "./messages.ts";
import { liveFaults, makeOffer, sourceFaults } from "./offer.ts";
import { askAgain, tellThat } from "./resolve.ts";
import { openLine, type SourceLine } from "./source-line.ts";
import { type Stage, type Stages, watchStages } from "./stages.ts";
import type { Terms } from "./terms.ts";
import { nothingSent, type SentTree, sendPass } from "./tree-send.ts";

export type MigrateRequest = {
  readonly to: Destination;
  /** Its name there. */
  readonly name: string | undefined;
  readonly storage: DriverName | undefined;
  /** Whether it stays here too, stopped. */
  readonly keep: boolean;
  /** Whether one that runs is stopped for it and started there, instead of going on there. */
  readonly offline: boolean;
  /** Whether it is only looked at what stands in the way. */
  readonly dryRun: boolean;
};

export type MigrateResult = {
  readonly name: string;
  readonly host: string;
  readonly storage: DriverName | null;
  readonly templateSent: boolean;
  readonly bytes: number;
  readonly stages: readonly Stage[];
  readonly warnings: readonly string[];
  /** Why it does not run there although it ran here; null when it does, or did not. */
  readonly startFault: string | null;
};

type Move = {
  readonly container: LockedContainer;
  readonly request: MigrateRequest;
  readonly progress: Progress;
  readonly line: SourceLine;
  readonly stages: Stages;
  readonly offer: Offer;
  readonly terms: Terms;
};

/** Moves a container; one that runs goes on there, or is stopped and started there when that is wished. On a failure it is here as it was. */
export async function migrateContainer(
  word: string,
  request: MigrateRequest,
  progress: Progress,
): Promise<MigrateResult> {
  return await withContainer(word, async (container) => {
    const stages = watchStages(progress);
    const { host } = request.to;
    await using line = await stages.run(`connecting to ${host}`, async () => await openLine(request.to));
    const offer = makeOffer(container, crypto.randomUUID(), request);
    const terms = await stages.run(
      "looking at both sides",
      async () => await agree(container, offer, line, request),
    );
    for (const text of terms.warnings) progress.emit({ type: "warning", text: `${container.name}: ${text}` });
    const move: Move = { container, request, progress, line, stages, offer, terms };
    const startFault = request.dryRun ? null : await carryOut(move);
    return {
      ...{ name: terms.name, host, storage: terms.storage, templateSent: terms.needsTemplate },
      ...{ bytes: line.sent(), stages: stages.done, warnings: terms.warnings, startFault },
    };
  });
}

/** Asks the destination. Throws migrate.refused with everything that stands in the way on either side. */
async function agree(
  container: LockedContainer,
  offer: Offer,
  line: SourceLine,
  request: MigrateRequest,
): Promise<Terms> {
  const terms = await line.askFor(offer, "terms");
  const faults = [
    ...sourceFaults(container, request),
    ...(offer.live ? await liveFaults(container) : []),
    ...terms.faults.map(({ what, cure }) => ({ what: `${request.to.host}: ${what}`, cure })),
  ];
  if (faults.length > 0) throw refused(container.name, request.to.host, faults);
  return terms;
}

function refused(name: string, host: string, faults: readonly Fault[]): BerthError {
  const list = faults.map(({ what, cure }) => `\n  - ${what}${cure === "" ? "" : ` (${cure})`}`).join("");
  return new BerthError(
    "migrate.refused",
    `${name} cannot move to ${host}:${list}`,
    "mend what is named; nothing was changed on either side",
  );
}

/** Gives what kept it from running there although it ran here. */
async function carryOut(move: Move): Promise<string | null> {
  const { container, progress, line, stages, terms, offer } = move;
  const { name, lock } = container;
  if (terms.needsTemplate) await stages.run("sending the template", async () => await sendTemplate(move));
  const ran = statusOf(name).state !== "stopped";
  const intent = departure(move, "moving");
  declareIntent(name, intent);
  try {
    if (offer.live) await moveLive(move);
    else await moveStill(move, ran);
  } catch (error) {
    await goBack(move, intent, ran);
    throw orInterrupted(progress, `migrating ${name}`, error);
  }
  await stages.run("switching", async () => await switchOver(move, ran));
  const startFault = ran && !offer.live ? await startThere(move) : null;
  await stages.run("leaving", async () => {
    if (!(await leave(lock, departure(move, "gone")))) dropLockFile(lock);
    await line.ask({ type: "forget", id: offer.id }).catch(() => {}); // a note that nobody needs
  });
  return startFault;
}

async function moveStill(move: Move, ran: boolean): Promise<void> {
  const { line, stages, progress } = move;
  if (ran) await stages.run("stopping it", async () => await stop(move));
  await line.ask({ type: "begin" });
  await stages.run("sending its files", async () => await sendFiles(move));
  await stages.run("making it last there", async () => await line.ask({ type: "prepare" }));
  progress.signal.throwIfAborted();
}

/** Its files while it runs; then it stands still until its like runs there, and ends here. */
async function moveLive(move: Move): Promise<void> {
  const { container, line, stages, progress } = move;
  const { state } = container;
  await line.ask({ type: "begin" });
  const withUpper = async <T>(work: (tree: SentTree) => Promise<T>, live: boolean): Promise<T> =>
    await storageDriver(state.storage).withVolume(
      state.uuid,
      async (dir) => await work({ path: `${dir}/upper`, baseUid: state.baseUid, live }),
    );
  const written = nothingWritten();
  let survey = nothingSent;
  const pass = async (live: boolean): Promise<void> => {
    ({ survey } = await withUpper(
      async (tree) => await sendPass(line, tree, survey, written, progress),
      live,
    ));
  };
  await stages.run("sending its files", async () => {
    await sendLayers(move, written);
    await pass(true);
  });
  await stages.run("sending what changed meanwhile", async () => await pass(true));
  progress.signal.throwIfAborted();
  const since = performance.now();
  await writeDown(container, {
    lasting: false,
    held: async (record) => {
      await stages.run("writing its processes down", async () => {}, since);
      await stages.run("sending what changed last", async () => await pass(false));
      await sendUserLimits(move);
      await stages.run("sending its processes", async () => await sendProcesses(move, record));
      await line.ask({ type: "prepare" });
      await stages.run("bringing it back there", async () => await line.ask({ type: "revive" }));
      progress.signal.throwIfAborted();
      // It ends here next: from its images it could go on, should the other side not take it after all.
      saveState(container.name, { ...state, suspended: true });
    },
  });
}

async function sendProcesses({ container, line, progress }: Move, record: CheckpointRecord): Promise<void> {
  await line.askWithBulk({ type: "processes", record, cgroup: cgroupHome(container.name) }, async (write) => {
    await writeTree(imagesDir(container.name), write, {
      prefix: "./",
      owner: (id) => id,
      xattr: () => undefined,
      signal: progress.signal,
    });
    await write(endOfArchive);
  });
}

function departure(
  { container, request, offer }: Move,
  mark: IntentOf<"depart">["mark"],
): IntentOf<"depart"> {
  const { uuid, storage } = container.state;
  const { keep, to } = request;
  return { operation: "depart", id: offer.id, to, mark, layers: [], keep, live: offer.live, uuid, storage };
}

async function stop({ container, progress }: Move): Promise<void> {
  await stopContainer(container, {
    ...{ kill: false, timeout: undefined, stayDown: false, signal: progress.signal },
  });
}

/** The switch: from the question on, only the answer tells whose it is. */
async function switchOver(move: Move, ran: boolean): Promise<void> {
  const { container, line } = move;
  declareIntent(container.name, departure(move, "committing"));
  try {
    await line.ask({ type: "commit" });
  } catch (error) {
    // A destination that said no has not switched: then it shall not any more.
    const intent = departure(move, line.isCut() ? "committing" : "moving");
    const decision = await askAgain(container.name, intent, error);
    if (decision === "stay") {
      await goBack(move, intent, ran);
      throw error;
    }
  }
  declareIntent(container.name, departure(move, "gone"));
}

/** Takes everything back; what stands in the way of that is added to the first failure's words. */
async function goBack(
  { container, line, progress, offer }: Move,
  intent: IntentOf<"depart">,
  ran: boolean,
): Promise<void> {
  if (!line.isCut())
    await line.ask({ type: "abort" }).catch(() => {}); // it removes it by itself, too
  else if (offer.live) await tellThat(intent).catch(() => {}); // a person may, too
  await stay(container.name, intent);
  if (!ran || statusOf(container.name).state !== "stopped") return;
  const same = { ...container, state: loadState(container.name) };
  await (same.state.suspended ? resumeContainer(same, progress) : startContainer(same)).catch(
    (error: unknown) =>
      progress.emit({
        type: "warning",
        text: `${container.name} had to end for the migration and does not go on: ${asBerthError(error).message}`,
      }),
  );
}

/** It has moved, whether it starts or not. */
async function startThere({ line, stages }: Move): Promise<string | null> {
  try {
    await stages.run("starting it there", async () => await line.ask({ type: "start" }));
    return null;
  } catch (error) {
    return asBerthError(error).message;
  }
}

async function sendTemplate({ line, offer, progress }: Move): Promise<void> {
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
async function sendFiles(move: Move): Promise<void> {
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

async function sendLayers({ container, line, progress }: Move, written: Written): Promise<void> {
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

async function sendUserLimits({ container, line }: Move): Promise<void> {
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
