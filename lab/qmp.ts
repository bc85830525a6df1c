/** QEMU's machine protocol: JSON lines over a unix socket (docs/interop/qmp-spec.rst). */
import { labError } from "./error.ts";
import { connectUnix } from "./socket.ts";

export interface Qmp {
  /** Executes a command and gives its return value. */
  readonly execute: (name: string, args?: Readonly<Record<string, unknown>>) => Promise<unknown>;
  readonly close: () => void;
}

interface Reply {
  readonly return?: unknown;
  readonly error?: { readonly desc?: string };
}

/** Connects and leaves the protocol's negotiation phase. */
export async function openQmp(path: string, ms: number): Promise<Qmp> {
  const socket = await connectUnix(path, ms);
  const waiting: { name: string; done: PromiseWithResolvers<unknown> }[] = [];
  let text = "";
  const take = (line: string): void => {
    const reply = JSON.parse(line) as Reply;
    if (!("return" in reply) && !("error" in reply)) return; // greeting or event
    const head = waiting.shift();
    if (reply.error) head?.done.reject(labError(`QEMU refused ${head.name}: ${reply.error.desc}`));
    else head?.done.resolve(reply.return);
  };
  socket.on("data", (data) => {
    text += data.toString();
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) if (line.trim()) take(line);
  });
  const fail = (): void => {
    for (const { name, done } of waiting.splice(0)) done.reject(labError(`QEMU ended during ${name}`));
  };
  socket.on("close", fail);
  socket.on("error", fail);
  const execute: Qmp["execute"] = (name, args = {}) => {
    const done = Promise.withResolvers<unknown>();
    if (socket.destroyed) return Promise.reject(labError(`QEMU has ended: no ${name}`));
    waiting.push({ name, done });
    socket.write(`${JSON.stringify({ execute: name, arguments: args })}\n`);
    return done.promise;
  };
  await execute("qmp_capabilities");
  return { execute, close: () => socket.destroy() };
}
