/** Ports of this machine. */
import { once } from "node:events";
import { createServer } from "node:net";
import { labError } from "./error.ts";

/** A TCP port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw labError("no free port");
  return address.port;
}
