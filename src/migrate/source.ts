/**
 * The source's story: look, copy, ask for the switch, leave. Until the destination has noted that the container is its
 * own, whatever fails leaves it here as it was.
 */
import { asBerthError, BerthError } from "../base/errors.ts";
import { instance } from "../base/paths.ts";
import { orInterrupted, type Progress } from "../base/progress.ts";
import { resumeContainer } from "../checkpoint/resume.ts";
import { type LockedContainer, withContainer } from "../container/container.ts";
import { type Destination, declareIntent, type IntentOf } from "../container/intent.ts";
import { dropLockFile } from "../container/lock.ts";
import { leave, stay } from "../container/recover.ts";
import { startContainer } from "../container/start.ts";
import { statusOf } from "../container/status.ts";
import { stopContainer } from "../container/stop.ts";
import { loadState } from "../container/store.ts";
import { type Kept, keepPackets } from "../network/packets.ts";
import { hostLink } from "../network/records.ts";
import type { DriverName } from "../storage/driver.ts";
import { packFile } from "./bundle.ts";
import { moveLive } from "./live-send.ts";
import type { Fault, Offer } from "./messages.ts";
import { liveFaults, makeOffer, sourceFaults } from "./offer.ts";
import { askAgain, tellThat } from "./resolve.ts";
import { type Move, sendFiles, sendTemplate } from "./send.ts";
import { openLine, type SourceLine } from "./source-line.ts";
import { type Stage, watchStages } from "./stages.ts";
import type { Terms } from "./terms.ts";

export type MigrateRequest = {
  readonly to: Destination;
  /** Its name there. */
  readonly name: string | undefined;
  readonly storage: DriverName | undefined;
  /** Whether it stays here too, stopped. */
  readonly keep: boolean;
  /** Whether one that runs is stopped for it and started there, instead of going on there. */
  readonly offline: boolean;
  /** Whether commands of `berth exec` and `enter` are ended when its processes are written down; else they stand in the way. */
  readonly endSessions: boolean;
  /** Bytes a second that are sent at most, but for what is sent while it stands still. */
  readonly bwlimit: number | undefined;
  /** Seconds that one which goes on there may stand still; past that it stays here. */
  readonly timeout: number | undefined;
  /** Seconds that may be needed to send its last memory, while it stands still; undefined: no passes over it are made before. */
  readonly maxDowntime: number | undefined;
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
  /** Milliseconds from its processes being held here until they went on there; null when they did not come along. */
  readonly standStill: number | null;
  readonly warnings: readonly string[];
  /** Why it does not run there although it ran here; null when it does, or did not. */
  readonly startFault: string | null;
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
    const offer = await makeOffer(container, crypto.randomUUID(), request);
    const terms = await stages.run(
      "looking at both sides",
      async () => await agree(container, offer, line, request),
    );
    for (const text of terms.warnings) progress.emit({ type: "warning", text: `${container.name}: ${text}` });
    const move: Move = { container, request, progress, line, stages, offer, terms };
    const { startFault, standStill } = request.dryRun ? notMoved : await carryOut(move);
    return {
      ...{ name: terms.name, host, storage: terms.storage, templateSent: terms.needsTemplate },
      ...{ bytes: line.sent(), stages: stages.done, warnings: terms.warnings, startFault, standStill },
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
    ...(offer.live ? await liveFaults(container, request) : []),
    ...terms.faults.map(({ what, cure }) => ({ what: `${request.to.host}: ${what}`, cure })),
  ];
  if (faults.length > 0) throw refused(container.name, request.to.host, faults);
  return terms;
}

/** Each fault is a line of the hint; what the other host wrote stays on its own. */
function refused(name: string, host: string, faults: readonly Fault[]): BerthError {
  const lines = faults.map(({ what, cure }) =>
    `${what}${cure === "" ? "" : ` (${cure})`}`.replaceAll("\n", " "),
  );
  return new BerthError(
    "migrate.refused",
    `${name} cannot move to ${host}; nothing was changed on either side`,
    lines.join("\n"),
  );
}

type Outcome = Pick<MigrateResult, "startFault" | "standStill">;

const notMoved: Outcome = { startFault: null, standStill: null };

async function carryOut(move: Move): Promise<Outcome> {
  const { container, progress, line, stages, terms, offer, request } = move;
  const { name, lock } = container;
  line.limit(request.bwlimit);
  if (terms.needsTemplate) await stages.run("sending the template", async () => await sendTemplate(move));
  const ran = statusOf(name).state !== "stopped";
  const intent = departure(move, "moving");
  declareIntent(name, intent);
  let held: number | undefined;
  using kept = keepPackets(hostLink(instance.linkPrefix, name));
  try {
    if (offer.live) held = await moveLive(move, kept);
    else await moveStill(move, ran);
  } catch (error) {
    await goBack(move, intent, ran);
    throw orInterrupted(progress, `migrating ${name}`, error);
  }
  await stages.run("switching", async () => await switchOver(move, ran, kept));
  const standStill = held === undefined ? null : Math.round((performance.now() - held) * 10) / 10;
  const startFault = ran && !offer.live ? await startThere(move) : null;
  await stages.run("leaving", async () => {
    if (!(await leave(lock, departure(move, "gone")))) dropLockFile(lock);
    await line.ask({ type: "forget", id: offer.id }).catch(() => {}); // a note that nobody needs
  });
  return { startFault, standStill };
}

async function moveStill(move: Move, ran: boolean): Promise<void> {
  const { line, stages, progress } = move;
  if (ran) await stages.run("stopping it", async () => await stop(move));
  await line.ask({ type: "begin" });
  await stages.run("sending its files", async () => await sendFiles(move));
  await stages.run("making it last there", async () => await line.ask({ type: "prepare" }));
  progress.signal.throwIfAborted();
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
async function switchOver(move: Move, ran: boolean, kept: Kept): Promise<void> {
  const { container, line } = move;
  declareIntent(container.name, departure(move, "committing"));
  try {
    if (move.offer.live)
      await line.askWithBulk({ type: "packets" }, async (write) => {
        for (const packet of kept.take()) await write(packFile({ name: "packet", content: packet }));
      });
    await line.ask({ type: "commit" });
  } catch (error) {
    // A destination that said no has not switched: then it shall not any more.
    const intent = departure(move, line.isCut() ? "committing" : "moving");
    const decision = await askAgain(container.name, intent, error);
    if (decision === "stay") {
      await goBack(move, intent, ran);
      throw error;
    }
    if (!line.isCut())
      move.progress.emit({
        type: "warning",
        text: `${move.terms.name} is at ${move.request.to.host} now, which says: ${asBerthError(error).message}`,
      });
  }
  declareIntent(container.name, departure(move, "gone"));
}

/** Takes everything back; what stands in the way of that is added to the first failure's words. */
async function goBack(
  { container, line, progress, offer, terms }: Move,
  intent: IntentOf<"depart">,
  ran: boolean,
): Promise<void> {
  if (!line.isCut()) await line.ask({ type: "abort" }).catch(() => {}); // it removes it by itself, too
  if (line.isCut() && offer.live)
    await tellThat(intent).catch(() => {
      const { host } = intent.to;
      progress.emit({
        type: "warning",
        text: `what came to ${host} may wait there; if so, \`berth migrate --resolve ${terms.name} --is there\` on ${host} removes it`,
      });
    });
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
