/** Taking a guest's processes from another host, and bringing them back here where nobody hears them yet. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { writeAtomic } from "../base/files.ts";
import { type Expected, expectImages } from "../checkpoint/bring-back.ts";
import { shiftTree } from "../checkpoint/cgroup-tree.ts";
import { checkHealth } from "../checkpoint/health.ts";
import { moveIds } from "../checkpoint/images.ts";
import { linkPasses, placeForPass } from "../checkpoint/passes.ts";
import { firstImage, firstWaits, newImages, renameCgroups } from "../checkpoint/place.ts";
import { type CheckpointRecord, imagesDir, readable, saveRecord } from "../checkpoint/record.ts";
import type { LockedContainer } from "../container/container.ts";
import { KEPT_PACKETS, MOST_BYTES, PACKET_BYTES, type Packet } from "../network/packets.ts";
import { cgroups } from "../resources/cgroup.ts";
import { unpackFiles } from "./bundle.ts";
import type { Offer } from "./messages.ts";
import { receiveFiles } from "./tree-receive.ts";

/** A guest's processes on their way here. Disposed of before they are brought back, what was made for them is gone. */
export type Coming = AsyncDisposable & {
  /** Has all ready that does not need their images. */
  readonly expect: (console: string) => Promise<void>;
  /** Large images, also while CRIU still writes others; those of a `pass` over the memory, before anything else. */
  readonly takeImages: (chunks: AsyncIterable<Uint8Array>, pass: number | undefined) => Promise<void>;
  /** The small ones, and what lies beside them: they get this host's ids. */
  readonly complete: (beside: Beside, chunks: AsyncIterable<Uint8Array>) => Promise<void>;
  /** Brings them back unheard. When that fails `giveUp` says so before anything else is done. */
  readonly revive: (giveUp: () => void) => Promise<void>;
  /** Looks again whether they are well, before they are made this host's own. Fails as `revive`. */
  readonly lookAgain: (giveUp: () => void) => Promise<void>;
};

type Beside = {
  readonly record: CheckpointRecord;
  /** Where its cgroups were. */
  readonly cgroup: string;
};

/** How long it is watched before the source's may end. From then to the switch takes longer: it is looked at once more. */
const WATCH_MS = 10;

export function comingTo(container: LockedContainer, { manifest }: Offer): Coming {
  const { name, state } = container;
  let expected: Expected | undefined;
  let pid = 0;
  return {
    expect: async (console) => {
      if (expected !== undefined) throw outOfTurn("expect");
      mustHaveAddress(state.address, manifest.address);
      placeForImages(name);
      expected = await expectImages(container, { console });
    },
    takeImages: async (chunks, pass) => {
      const images = placeForImages(name);
      await receiveFiles(chunks, pass === undefined ? images : placeForPass(images, pass));
    },
    complete: async ({ record, cgroup }, chunks) => {
      for await (const file of unpackFiles(chunks))
        writeAtomic(
          `${imagesDir(name)}/${file.name === firstImage ? firstWaits : file.name}`,
          file.content,
          readable,
        );
      linkPasses(imagesDir(name), record.passes ?? 0);
      takeOver(container, { record, cgroup, baseUid: manifest.baseUid }, false);
    },
    revive: async (giveUp) => {
      if (expected === undefined) throw outOfTurn("revive");
      try {
        ({ pid } = await expected.goOn(WATCH_MS));
      } catch (error) {
        giveUp();
        throw error;
      }
    },
    lookAgain: async (giveUp) => {
      try {
        await checkHealth(container, pid, 0);
      } catch (error) {
        giveUp();
        cgroups().kill(name);
        throw error;
      }
    },
    [Symbol.asyncDispose]: async () => await expected?.[Symbol.asyncDispose](),
  };
}

/** What has come for a guest while it stood still. Fails with migrate.failed on more than a source can have kept. */
export async function takePackets(chunks: AsyncIterable<Uint8Array>): Promise<readonly Packet[]> {
  const packets: Packet[] = [];
  let bytes = 0;
  for await (const { content } of unpackFiles(chunks)) {
    bytes += content.length;
    if (packets.length === KEPT_PACKETS || content.length > PACKET_BYTES || bytes > MOST_BYTES)
      throw new BerthError("migrate.failed", "the other side sent more packets than it can have kept");
    packets.push(content);
  }
  return packets;
}

const outOfTurn = (word: string): BerthError => new BerthError("migrate.failed", `${word} came out of turn`);

/** What passes over the memory have brought stays. */
const placeForImages = (name: string): string =>
  existsSync(imagesDir(name)) ? imagesDir(name) : newImages(name);

function mustHaveAddress(here: string | null, there: string | null): void {
  if (here?.split("/")[0] === there?.split("/")[0]) return;
  throw new BerthError(
    "network.failed",
    `its address ${there} was taken by another container meanwhile`,
    "its connections need it: free it there",
  );
}

type Origin = Beside & { readonly baseUid: number };

/** Puts images and record of a guest that had other ids where a resume finds them; `fill` brings the images. */
export async function placeProcesses(
  container: Pick<LockedContainer, "name" | "state">,
  origin: Origin,
  fill: (images: string) => Promise<void>,
): Promise<void> {
  await fill(newImages(container.name));
  takeOver(container, origin, true);
}

/** Gives the images that are there this container's ids and cgroups. */
function takeOver(
  { name, state }: Pick<LockedContainer, "name" | "state">,
  { record, cgroup, baseUid }: Origin,
  sync: boolean,
): void {
  const images = imagesDir(name);
  for (const file of readdirSync(images).filter((one) => /^userns-\d+\.img$/.test(one)))
    writeAtomic(`${images}/${file}`, moveIds(readFileSync(`${images}/${file}`), state.baseUid), readable);
  renameCgroups(images, cgroup, name);
  saveRecord(name, { ...record, cgroups: shiftTree(record.cgroups, baseUid, state.baseUid) }, sync);
}
