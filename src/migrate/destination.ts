/**
 * The destination's story: it answers one request after the other. Until it is ready, an end of the line or a failure
 * removes all that came; from then on only a word of the source does.
 */
import { BerthError } from "../base/errors.ts";
import { instance } from "../base/paths.ts";
import { trace } from "../base/trace.ts";
import { forgetArrival, noteArrival } from "../container/arrivals.ts";
import { type LockedContainer, withContainer } from "../container/container.ts";
import { makeContainer } from "../container/create.ts";
import { diskLimits } from "../container/disk-limits.ts";
import { declareIntent, type IntentOf } from "../container/intent.ts";
import { newLayerId } from "../container/layers.ts";
import { finishArrival } from "../container/recover.ts";
import { mustFit } from "../container/restore-fill.ts";
import { startContainer } from "../container/start.ts";
import { saveState } from "../container/store.ts";
import { setUserLimits } from "../container/user-limits.ts";
import { deliverPackets, type Packet } from "../network/packets.ts";
import { hostLink } from "../network/records.ts";
import { cgroups } from "../resources/cgroup.ts";
import { storageDriver } from "../storage/drivers.ts";
import { syncFileSystem } from "../storage/sync.ts";
import type { Channel } from "./channel.ts";
import { hostFacts } from "./host-facts.ts";
import { type Coming, comingTo, takePackets } from "./live-receive.ts";
import { type Answer, type Offer, PROTOCOL, type Request, requestSchema } from "./messages.ts";
import { settleHere, standingHere } from "./standing.ts";
import { receiveTemplate } from "./template-receive.ts";
import { configTextOf, type Terms, termsOf } from "./terms.ts";
import { clearNames, receiveTree } from "./tree-receive.ts";

type Line = {
  readonly next: () => Promise<Request | undefined>;
  readonly answer: (answer: Answer) => Promise<void>;
  readonly done: () => Promise<void>;
  readonly bulk: Channel["bulk"];
};

const lineOf = (channel: Channel): Line => ({
  next: async () => await channel.receive(requestSchema),
  answer: async (answer) => await channel.send(answer),
  done: async () => await channel.send({ type: "done" } satisfies Answer),
  bulk: channel.bulk,
});

/** Serves one source until it ends the line. What fails is told to it, and ends the line. */
export async function serveSource(channel: Channel): Promise<void> {
  const line = lineOf(channel);
  try {
    await serve(line);
  } catch (error) {
    const told = error instanceof Error ? error : new Error(String(error));
    const hint = error instanceof BerthError ? error.hint : "";
    await channel.send({ type: "failed", message: told.message, hint } satisfies Answer).catch(() => {});
    throw error;
  }
}

type Agreed = { readonly offer: Offer; readonly terms: Terms };

async function serve(line: Line): Promise<void> {
  let agreed: Agreed | undefined;
  let taken: string | undefined;
  for (let request = await line.next(); request !== undefined; request = await line.next())
    switch (request.type) {
      case "hello":
        await line.answer({ type: "hello", protocol: PROTOCOL, host: hostFacts() });
        break;
      case "offer":
        agreed = { offer: request, terms: await termsOf(request) };
        await line.answer(agreed.terms);
        break;
      case "template":
        await receiveTemplate(line.bulk(), accepted(agreed, request).offer);
        await line.done();
        break;
      case "begin":
        taken = await takeContainer(line, accepted(agreed, request));
        break;
      case "start":
        await start(taken, request);
        await line.done();
        break;
      case "standing":
        await line.answer({ type: "standing", ...(await standingHere(request.id)) });
        break;
      case "settle":
        await settleHere(request.id, request.take);
        await line.done();
        break;
      case "forget":
        forgetArrival(request.id);
        await line.done();
        break;
      default:
        throw outOfTurn(request);
    }
}

async function start(name: string | undefined, request: Request): Promise<void> {
  if (name === undefined) throw outOfTurn(request);
  await withContainer(name, async (container) => await startContainer(container));
}

function accepted(agreed: Agreed | undefined, request: Request): Agreed {
  if (agreed !== undefined && agreed.terms.faults.length === 0) return agreed;
  throw outOfTurn(request);
}

const outOfTurn = ({ type }: Request): BerthError =>
  new BerthError("migrate.failed", `${type} came out of turn`);

/** Gives the name of the container, once it is this host's; undefined when it stays with the source. */
async function takeContainer(line: Line, { offer, terms }: Agreed): Promise<string | undefined> {
  const { manifest } = offer;
  const { storage, name } = terms;
  if (storage === null) throw new BerthError("migrate.failed", "no storage driver was chosen");
  const layers = Array.from({ length: manifest.layers }, () => ({ id: newLayerId(), storage, baseUid: 0 }));
  const ground = { template: manifest.template.digest, storage, layers };
  let word: "commit" | "abort" | undefined;
  try {
    await makeContainer(
      name,
      configTextOf(offer),
      ground,
      async (container) => {
        await line.done();
        word = await receive(line, container, offer);
        // Thrown, it is removed again.
        if (word === "abort") throw new BerthError("migrate.failed", `${name} stays where it was`);
      },
      manifest,
    );
  } catch (error) {
    if (word !== "abort") throw error;
  }
  if (word === "commit") return name;
  await line.done();
  return undefined;
}

/** Takes all that belongs to the container until the word comes whose it is. */
async function receive(line: Line, begun: LockedContainer, offer: Offer): Promise<"commit" | "abort"> {
  const container = withLayersOwned(begun, begun.state.baseUid);
  const { storage, uuid } = container.state;
  await using coming = comingTo(container, offer);
  const taken = await storageDriver(storage).withVolume(
    uuid,
    async (dir) => await take(line, container, coming, { offer, root: `${dir}/upper` }),
  );
  return taken === "abort" ? "abort" : await waitForWord(line, container, coming, { offer, ...taken });
}

type Taken = {
  /** Resolves when all of it has been written to disk. */
  readonly lasting: Promise<void>;
};

/** Takes what comes, its own files below `root`. */
async function take(
  line: Line,
  container: LockedContainer,
  coming: Coming,
  { offer, root }: { readonly offer: Offer; readonly root: string },
): Promise<Taken | "abort"> {
  const { name, state } = container;
  const { baseUid } = state;
  const flush = async (): Promise<void> => await syncFileSystem(root);
  let lasting: Promise<void> = Promise.resolve();
  for (let request = await line.next(); request !== undefined; request = await line.next()) {
    trace(`asked: ${request.type}`);
    switch (request.type) {
      case "layer":
        await receiveLayer(line, container, request.index);
        break;
      case "clear": {
        const { gone, renewed } = request;
        clearNames(root, gone.map(fromBase64), renewed.map(fromBase64));
        break;
      }
      case "upper":
        await receiveTree(line.bulk(), root, baseUid);
        lasting = lasting.then(flush);
        lasting.catch(() => {}); // told when it is waited for
        break;
      case "quotas":
        await setUserLimits(
          { id: state.uuid, storage: state.storage, baseUid },
          request.quotas.map(({ kind, id, bytes, inodes, softBytes, softInodes }) => ({
            ...{ kind, id, bytes: bytes ?? undefined, inodes: inodes ?? undefined },
            soft: { bytes: softBytes ?? undefined, inodes: softInodes ?? undefined },
          })),
        );
        break;
      case "expect":
        await coming.expect(request.console);
        break;
      case "images":
        await coming.takeImages(line.bulk(), request.pass);
        break;
      case "processes":
        await coming.complete(request, line.bulk());
        break;
      case "prepare":
        // A guest that stands still is brought back meanwhile, where that does not need its volume to be free.
        if (!offer.live || state.storage === "image") await lasting;
        return { lasting };
      case "abort":
        return "abort";
      default:
        throw outOfTurn(request);
    }
    await line.done();
  }
  throw new BerthError("migrate.failed", `the line was cut before all of ${name} had come`);
}

const fromBase64 = (text: string): Buffer => Buffer.from(text, "base64");

/** Who the layers belong to is known once the container has its ids. */
function withLayersOwned(container: LockedContainer, baseUid: number): LockedContainer {
  const { name, state } = container;
  const owned = { ...state, layers: state.layers.map((layer) => ({ ...layer, baseUid })) };
  saveState(name, owned);
  return { ...container, state: owned };
}

async function receiveLayer(line: Line, { config, state }: LockedContainer, index: number): Promise<void> {
  const layer = state.layers[index];
  if (layer === undefined) throw new BerthError("migrate.failed", `there is no layer ${index}`);
  const driver = storageDriver(layer.storage);
  await driver.create(layer.id, diskLimits(config));
  await driver.withVolume(
    layer.id,
    async (dir) => await receiveTree(line.bulk(), `${dir}/upper`, layer.baseUid),
  );
  await driver.seal(layer.id);
}

/** All is here and lasts. From now on a cut line changes nothing: the source has to say whose it is. A "commit" has been answered. */
async function waitForWord(
  line: Line,
  container: LockedContainer,
  coming: Coming,
  { offer, lasting }: Taken & { readonly offer: Offer },
): Promise<"commit" | "abort"> {
  const { name, state } = container;
  const { uuid, storage, layers } = state;
  const intent: IntentOf<"arrive"> = {
    ...{ operation: "arrive", id: offer.id, uuid, storage, layers },
    ...{ live: offer.live, shouldRun: offer.shouldRun },
  };
  mustFit(container, name, `give it more before it moves: \`berth set ${name} --disk SIZE\``);
  declareIntent(name, intent);
  await line.done();
  let word = await line.next();
  trace(`asked: ${word?.type}`);
  const giveUp = (): void => declareIntent(name, { operation: "create", uuid, storage, layers });
  if (word?.type === "revive") {
    const [revived, written] = await Promise.allSettled([coming.revive(giveUp), lasting]);
    if (written.status === "rejected") {
      giveUp();
      cgroups().kill(name);
      throw written.reason;
    }
    if (revived.status === "rejected") throw revived.reason;
    await line.done();
    word = await line.next();
    trace(`asked: ${word?.type}`);
  }
  let packets: readonly Packet[] = [];
  if (word?.type === "packets") {
    packets = await takePackets(line.bulk());
    await line.done();
    word = await line.next();
    trace(`asked: ${word?.type}`);
  }
  if (word?.type === "commit") {
    await lasting;
    if (offer.live) await coming.lookAgain(giveUp);
    noteArrival(offer.id, name);
    let isAnswered = false;
    const answer = async (): Promise<void> => {
      if (!isAnswered) await line.done();
      isAnswered = true;
    };
    // Nobody waits for what is left to do once it goes on.
    await finishArrival(name, intent, async () => {
      deliverPackets(hostLink(instance.linkPrefix, name), packets);
      await answer();
    });
    await answer();
    return "commit";
  }
  if (word?.type !== "abort")
    throw new BerthError("migrate.undecided", `the line was cut before it was known whose ${name} is`);
  giveUp();
  if (offer.live) cgroups().kill(name);
  return "abort";
}
