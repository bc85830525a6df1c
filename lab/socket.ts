/** Client connections to QEMU's unix sockets. */
import { connect, type Socket } from "node:net";
import { retry } from "./deadline.ts";

/** Connects to a unix socket, which may appear within `ms`. */
export function connectUnix(path: string, ms: number): Promise<Socket> {
  return retry(ms, 10, () => attempt(path));
}

function attempt(path: string): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect(path);
  socket.once("connect", () => {
    socket.off("error", reject);
    resolve(socket);
  });
  socket.once("error", reject);
  return promise;
}
