/** Speaks with lab-agent in the guest (guest/agent.c has the frames) over QEMU's end of the virtio-serial port. */
import { within } from "./deadline.ts";
import { labError } from "./error.ts";
import { connectUnix } from "./socket.ts";

export interface CommandEvents {
  readonly stdout: (data: Uint8Array) => void;
  readonly stderr: (data: Uint8Array) => void;
}

export interface RunningCommand {
  /** The exit code; 128 + signal when it was killed. Rejects when the host ends. */
  readonly exited: Promise<number>;
  /** Sends input; resolves when the command has room for more. */
  readonly write: (data: Uint8Array) => Promise<void>;
  readonly endInput: () => void;
  readonly kill: (signal: number) => void;
  readonly resize: (rows: number, columns: number) => void;
}

export interface Terminal {
  readonly rows: number;
  readonly columns: number;
}

export interface Agent {
  /** Resolves when the agent has answered; asks again every second until then. */
  readonly ping: (ms: number) => Promise<void>;
  readonly start: (argv: readonly string[], events: CommandEvents, terminal?: Terminal) => RunningCommand;
  readonly close: () => void;
}

interface Pending {
  readonly events: CommandEvents;
  readonly exit: PromiseWithResolvers<number>;
  /** Input bytes sent and not yet taken by the command. */
  unread: number;
  room: PromiseWithResolvers<void> | undefined;
}

const headerSize = 9;
const chunkSize = 32_768;
const windowSize = 262_144;

/** Connects to the agent's socket. */
export async function openAgent(path: string, ms: number): Promise<Agent> {
  const socket = await connectUnix(path, ms);
  const commands = new Map<number, Pending>();
  let pong = Promise.withResolvers<void>();
  let nextId = 1;

  const send = (type: string, id: number, payload: Uint8Array = new Uint8Array()): void => {
    const header = Buffer.alloc(headerSize);
    header.writeUInt32LE(payload.length, 0);
    header.writeUInt32LE(id, 4);
    header.write(type, 8, "latin1");
    socket.write(Buffer.concat([header, payload]));
  };

  const take = (type: string, id: number, payload: Buffer): void => {
    if (type === "P") pong.resolve();
    const command = commands.get(id);
    if (!command) return;
    if (type === "O") command.events.stdout(payload);
    else if (type === "R") command.events.stderr(payload);
    else if (type === "A") giveRoom(command, payload.readUInt32LE(0));
    else if (type === "X") {
      commands.delete(id);
      command.room?.resolve();
      command.exit.resolve(payload.readUInt32LE(0));
    }
  };

  let buffered: Buffer = Buffer.alloc(0);
  socket.on("data", (data: Buffer) => {
    buffered = buffered.length === 0 ? data : Buffer.concat([buffered, data]);
    let at = 0;
    while (buffered.length - at >= headerSize) {
      const end = at + headerSize + buffered.readUInt32LE(at);
      if (end > buffered.length) break;
      const type = String.fromCharCode(buffered[at + 8] ?? 0);
      take(type, buffered.readUInt32LE(at + 4), Buffer.from(buffered.subarray(at + headerSize, end)));
      at = end;
    }
    buffered = buffered.subarray(at);
  });
  const fail = (): void => {
    for (const command of commands.values())
      command.exit.reject(labError("the host ended during the command"));
    commands.clear();
  };
  socket.on("close", fail);
  socket.on("error", fail);

  const start: Agent["start"] = (argv, events, terminal) => {
    const id = nextId++;
    const command: Pending = { events, exit: Promise.withResolvers(), unread: 0, room: undefined };
    command.exit.promise.catch(() => undefined); // whoever awaits it still sees the rejection
    if (socket.destroyed) command.exit.reject(labError("the host is off"));
    else commands.set(id, command);
    send("E", id, execPayload(argv, terminal));
    return {
      exited: command.exit.promise,
      write: async (data) => {
        for (let at = 0; at < data.length && commands.has(id); at += chunkSize) {
          const chunk = data.subarray(at, at + chunkSize);
          command.unread += chunk.length;
          send("I", id, chunk);
          await roomFor(command);
        }
      },
      endInput: () => send("C", id),
      kill: (signal) => send("S", id, Uint8Array.of(signal)),
      resize: (rows, columns) => send("W", id, sizeBytes(rows, columns)),
    };
  };

  const ping: Agent["ping"] = async (ms) => {
    pong = Promise.withResolvers();
    const again = setInterval(() => send("P", 0), 1000);
    send("P", 0);
    try {
      await within(ms, pong.promise, () => {
        throw labError(`no answer from the host within ${ms / 1000} s`);
      });
    } finally {
      clearInterval(again);
    }
  };

  return { ping, start, close: () => socket.destroy() };
}

function execPayload(argv: readonly string[], terminal: Terminal | undefined): Uint8Array {
  const head = Buffer.concat([
    Uint8Array.of(terminal ? 1 : 0),
    sizeBytes(terminal?.rows ?? 0, terminal?.columns ?? 0),
  ]);
  const payload = Buffer.concat([head, ...argv.map((argument) => Buffer.from(`${argument}\0`))]);
  if (payload.length > 65_536) throw labError("a command of more than 64 KiB: put it into a file first");
  return payload;
}

function sizeBytes(rows: number, columns: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(rows, 0);
  bytes.writeUInt16LE(columns, 2);
  return bytes;
}

async function roomFor(command: Pending): Promise<void> {
  if (command.unread < windowSize) return;
  command.room ??= Promise.withResolvers();
  await command.room.promise;
}

function giveRoom(command: Pending, taken: number): void {
  command.unread -= taken;
  if (command.unread >= windowSize) return;
  command.room?.resolve();
  command.room = undefined;
}
