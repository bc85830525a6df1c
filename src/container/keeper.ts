/** The client's end of the keeper's socket (native/keeper.h): waiting for a guest's end without polling. */
import { containerPaths } from "../base/paths.ts";
import type { ExitRecord } from "./status.ts";

const OP_WAIT = 2;
const FRAME_EXIT = 3;

export type Watch = {
  /** How the guest ended, once its mounts are gone; undefined when the keeper went away without a word. */
  readonly ended: Promise<ExitRecord | undefined>;
  /** The keeper itself has gone. */
  readonly closed: Promise<void>;
  readonly close: () => void;
};

/** Connects to the keeper; undefined when there is none. */
export async function watchKeeper(name: string): Promise<Watch | undefined> {
  const ended = Promise.withResolvers<ExitRecord | undefined>();
  const closed = Promise.withResolvers<void>();
  let pending = Buffer.alloc(0);
  const take = (data: Buffer): void => {
    pending = Buffer.concat([pending, data]);
    while (pending.length >= 4 && pending.length >= 4 + pending.readUInt16LE(2)) {
      const end = 4 + pending.readUInt16LE(2);
      if (pending.readUInt8(0) === FRAME_EXIT) ended.resolve(parseExit(pending.subarray(4, end)));
      pending = pending.subarray(end);
    }
  };
  const over = (): void => {
    ended.resolve(undefined);
    closed.resolve();
  };
  try {
    const socket = await Bun.connect({
      unix: containerPaths(name).keeperSocket,
      socket: { data: (_, data) => take(data), close: over, error: over, end: over },
    });
    const hello = Buffer.alloc(8);
    hello.write("BKP1", 0, "latin1");
    hello.writeUInt32LE(OP_WAIT, 4);
    socket.write(hello);
    return { ended: ended.promise, closed: closed.promise, close: () => socket.end() };
  } catch {
    return undefined;
  }
}

function parseExit(payload: Buffer): ExitRecord | undefined {
  try {
    return JSON.parse(payload.toString()) as ExitRecord;
  } catch {
    return undefined;
  }
}

/** The promise's value, or `late` after the given time. */
export async function within<T, L>(promise: Promise<T>, milliseconds: number, late: L): Promise<T | L> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<L>((resolve) => {
    timer = setTimeout(() => resolve(late), milliseconds);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}
