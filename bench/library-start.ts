/** A process that stays and starts a guest for each line on its standard input: prints the milliseconds of the start. */
import { withContainer } from "../src/container/container.ts";
import { createContainer } from "../src/container/create.ts";
import { removeContainer } from "../src/container/remove.ts";
import { startContainer } from "../src/container/start.ts";
import { stopContainer } from "../src/container/stop.ts";
import { limits } from "./bench.ts";

const name = "library";
const settings = Object.entries(limits).map(([key, value]) => ({ path: [key], value }));
await createContainer(name, { template: "busybox", settings, storage: undefined });
for await (const _ of console) {
  const since = performance.now();
  await withContainer(name, async (container) => await startContainer(container));
  process.stdout.write(`${performance.now() - since}\n`);
  await withContainer(
    name,
    async (container) => await stopContainer(container, { kill: true, timeout: undefined, stayDown: true }),
  );
}
await removeContainer(name, true);
