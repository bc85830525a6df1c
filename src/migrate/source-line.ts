/** The source's side of the line: it asks, and each request has one answer. */
import { asBerthError, BerthError } from "../base/errors.ts";
import type { Destination } from "../container/intent.ts";
import type { Write } from "../storage/archive/tar-writer.ts";
import {
  type Answer,
  type AnswerOf,
  answerSchema,
  type HostFacts,
  PROTOCOL,
  type Request,
} from "./messages.ts";
import { openRemote } from "./remote.ts";

export type SourceLine = AsyncDisposable & {
  readonly host: HostFacts;
  /** Asks and waits. Throws migrate.failed when the other side failed, or the line did (`isCut`). */
  readonly ask: (request: Request) => Promise<void>;
  /** The same where the answer says something. */
  readonly askFor: <T extends Answer["type"]>(request: Request, type: T) => Promise<AnswerOf<T>>;
  /** The same with data behind the request; gives their length. */
  readonly askWithBulk: (request: Request, work: (write: Write) => Promise<void>) => Promise<number>;
  /** Whether the line failed: what was last asked may have been heard or not. */
  readonly isCut: () => boolean;
  /** Bytes sent so far. */
  readonly sent: () => number;
  /** Bounds what is sent, in bytes a second; undefined: as fast as it goes. */
  readonly limit: (rate: number | undefined) => void;
};

/** How often the destination hears that this side lives; it gives up after SILENCE_MS without. */
const BEAT_MS = 5000;

/** What fails on this side is no end of the line: nobody there would answer. It becomes an error of berth's. */
async function tellingApart(work: (write: Write) => Promise<void>, write: Write): Promise<void> {
  let isLost = false;
  const noting: Write = async (bytes) => {
    await write(bytes).catch((error: unknown) => {
      isLost = true;
      throw error;
    });
  };
  await work(noting).catch((error: unknown) => {
    throw isLost ? error : asBerthError(error);
  });
}

/** Opens the line and greets. Throws migrate.failed saying what stands in the way. */
export async function openLine(to: Destination): Promise<SourceLine> {
  const { channel, end: endRemote, limit } = openRemote(to);
  const beating = setInterval(() => void channel.beat().catch(() => {}), BEAT_MS); // the next request says what is wrong
  const end = async (): Promise<string> => {
    clearInterval(beating);
    return await endRemote();
  };
  let isCut = false;
  const cut = async (error: unknown): Promise<BerthError> => {
    isCut = true;
    const words = (await end()).split("\n").slice(-3).join("; ");
    const why = words === "" && error instanceof Error ? error.message : words;
    return new BerthError(
      "migrate.failed",
      `the line to ${to.host} was cut${why === "" ? "" : `: ${why}`}`,
      `see that \`berth --version\` answers there${to.rsh === null ? `: ssh ${to.host} berth --version` : ""}`,
      error,
    );
  };
  const hear = async <T extends Answer["type"]>(type: T, sending: unknown): Promise<AnswerOf<T>> => {
    const heard = await channel.receive(answerSchema).catch(async (error: unknown) => {
      throw await cut(sending ?? error);
    });
    if (heard === undefined) throw await cut(sending);
    if (heard.type === "failed")
      throw new BerthError("migrate.failed", `${to.host}: ${heard.message}`, heard.hint);
    if (heard.type === type) return heard as AnswerOf<T>;
    throw new BerthError("migrate.failed", `${to.host} answered ${heard.type} where ${type} was due`);
  };
  let turn: Promise<unknown> = Promise.resolve();
  // What nobody waits for any more is still due before the next answer.
  const hearInTurn: typeof hear = async (type, sending) => {
    const mine = turn.then(async () => await hear(type, sending));
    turn = mine.catch(() => {});
    return await mine;
  };
  const exchange = async <T extends Answer["type"]>(
    send: () => Promise<void>,
    type: T,
  ): Promise<AnswerOf<T>> => {
    // When it no longer listens, what it said before is a better answer than that.
    const sending = await send().then(
      () => undefined,
      (error: unknown) => {
        if (error instanceof BerthError) throw error;
        return error;
      },
    );
    return await hearInTurn(type, sending);
  };
  const line = {
    ask: async (request: Request) => void (await exchange(async () => await channel.send(request), "done")),
    askFor: async <T extends Answer["type"]>(request: Request, type: T) =>
      await exchange(async () => await channel.send(request), type),
    askWithBulk: async (request: Request, work: (write: Write) => Promise<void>) => {
      let length = 0;
      await exchange(async () => {
        await channel.send(request);
        length = await channel.sendBulk(async (write) => await tellingApart(work, write));
      }, "done");
      return length;
    },
    isCut: () => isCut,
    sent: channel.sent,
    limit,
    [Symbol.asyncDispose]: async () => void (await end()),
  };
  const { host, protocol } = await line.askFor({ type: "hello", protocol: PROTOCOL }, "hello");
  if (protocol === PROTOCOL) return { ...line, host };
  await end();
  throw new BerthError(
    "migrate.failed",
    `${to.host} has berth ${host.berth}, which speaks another protocol of migration`,
    "the same version on both sides",
  );
}
