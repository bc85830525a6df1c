/** Moving a guest that runs: it works while its files go, and stands still while its processes do. */
import { cgroupHome } from "../checkpoint/cgroup-tree.ts";
import { imagesDir } from "../checkpoint/record.ts";
import { endSessions } from "../checkpoint/sessions.ts";
import { consoleOf, type Writing, writeDown } from "../checkpoint/suspend.ts";
import { mustRun } from "../container/container.ts";
import { saveState } from "../container/store.ts";
import type { Kept } from "../network/packets.ts";
import { nothingWritten } from "../storage/archive/backup-writer.ts";
import { storageDriver } from "../storage/drivers.ts";
import { streamImages } from "./images-send.ts";
import { sendMemory } from "./memory-passes.ts";
import { LIKELY_RATE } from "./pass-rule.ts";
import { patienceOf } from "./patience.ts";
import { type Move, sendLayers, sendUserLimits } from "./send.ts";
import type { SourceLine } from "./source-line.ts";
import { nothingSent, type SentTree, sendPass } from "./tree-send.ts";

/** Its files while it runs; then it stands still until its like runs there, and ends here. What comes for it meanwhile is `kept`. Gives when that began (performance.now()). */
export async function moveLive(move: Move, kept: Kept): Promise<number> {
  const { container, line, stages, progress, request } = move;
  const { state } = container;
  using patience = patienceOf(container.name, request.timeout, progress.signal);
  const patient = { ...progress, signal: patience.signal };
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
      async (tree) => await sendPass(line, tree, survey, written, patient),
      live,
    ));
  };
  const rate = await rateOf(line, async () => {
    await stages.run("sending its files", async () => {
      await sendLayers(move, written);
      await pass(true);
    });
  });
  const catchUp = async (): Promise<void> =>
    await stages.run("sending what changed meanwhile", async () => await pass(true));
  await catchUp();
  const passes = await sendMemory(move, rate, catchUp);
  await line.ask({ type: "expect", console: consoleOf(mustRun(container.name)) });
  progress.signal.throwIfAborted();
  if (request.endSessions) await endSessions(container.name);
  let since = performance.now();
  const images = streamImages(line, imagesDir(container.name), patient);
  const writing: Writing = {
    lasting: false,
    passes,
    keepsRuntime: true,
    begun: () => {
      line.limit(undefined);
      patience.begin();
      images.begin();
    },
    locked: kept.begin,
    held: async (record, frozen) => {
      since = frozen;
      patience.signal.throwIfAborted();
      await stages.run("writing its processes down", async () => {}, since);
      await patience.bear(
        stages.run("sending its processes", async () => {
          await images.finish();
          await line.askWithBulk(
            { type: "processes", record, cgroup: cgroupHome(container.name) },
            images.small,
          );
        }),
      );
      await patience.bear(
        stages.run("sending what changed last", async () => {
          await pass(false);
          await sendUserLimits(move);
        }),
      );
      await patience.bear(line.ask({ type: "prepare" }));
      await stages.run(
        "bringing it back there",
        async () => await patience.bear(line.ask({ type: "revive" })),
      );
      patience.signal.throwIfAborted();
      // It ends here next: from its images it could go on, should the other side not take it after all.
      saveState(container.name, { ...state, suspended: true }, false);
    },
  };
  try {
    await writeDown(container, writing);
  } finally {
    await images.stop();
  }
  return since;
}

/** Less than so many bytes tell nothing of how fast the line is. */
const TELLING = 4 << 20;

/** What the line takes while that is sent, in bytes a millisecond. */
async function rateOf(line: SourceLine, sending: () => Promise<void>): Promise<number> {
  const [before, begun] = [line.sent(), performance.now()];
  await sending();
  const sent = line.sent() - before;
  return sent < TELLING ? LIKELY_RATE : sent / (performance.now() - begun);
}
