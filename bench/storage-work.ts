/** The storage work of create, clone and snapshot, timed in this process. Arguments: driver, rounds. Prints JSON. */

import { silent } from "../src/base/progress.ts";
import { driverNames } from "../src/config/storage-drivers.ts";
import { withContainer } from "../src/container/container.ts";
import { createContainer } from "../src/container/create.ts";
import { withFrozenLayers } from "../src/container/freeze-layers.ts";
import { removeContainer } from "../src/container/remove.ts";
import { startContainer } from "../src/container/start.ts";
import { stopContainer } from "../src/container/stop.ts";
import { storageDriver } from "../src/storage/drivers.ts";

const [word, count = "10"] = process.argv.slice(2);
const storage = driverNames.find((name) => name === word);
if (storage === undefined) throw new Error("usage: storage-work DRIVER ROUNDS");
const driver = storageDriver(storage);
const limits = { bytes: 256 * 2 ** 20, inodes: undefined };
const rounds = Number(count);
const times: Record<"create" | "freeze for a snapshot or clone, stopped" | "rm", number[]> = {
  create: [],
  "freeze for a snapshot or clone, stopped": [],
  rm: [],
};

async function timed(what: keyof typeof times, work: () => Promise<void>): Promise<void> {
  const since = performance.now();
  await work();
  times[what].push(performance.now() - since);
}

for (let round = 0; round < rounds; round += 1) {
  await timed("create", async () => await driver.create(`bench-${round}`, limits));
  await timed("rm", async () => await driver.remove(`bench-${round}`));
}
const settings = [
  { path: ["network", "mode"], value: "none" },
  { path: ["disk"], value: "256M" },
];
await createContainer("bench", { template: "busybox", settings, storage });
for (let round = 0; round < Math.min(rounds, 20); round += 1) {
  // A start writes into the volume, so that there is something to freeze.
  await withContainer("bench", startContainer);
  await withContainer(
    "bench",
    async (container) => await stopContainer(container, { kill: true, timeout: undefined, stayDown: true }),
  );
  await withContainer("bench", async (container) => {
    await timed(
      "freeze for a snapshot or clone, stopped",
      async () => await withFrozenLayers(container, silent, async () => {}),
    );
  });
}
await removeContainer("bench", true);
process.stdout.write(`${JSON.stringify(times)}\n`);
