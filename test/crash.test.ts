/** A short run of the soak: commands and keepers are killed at random points. `bun test/support/soak.ts SECONDS` runs longer. */
import { expect, test } from "bun:test";
import { soak } from "./support/soak.ts";
import { newWorld } from "./support/world.ts";

test("whatever is killed, the next command ends in a sound state", async () => {
  const world = await newWorld("busybox");
  try {
    const { rounds, killed } = await soak(world, { seconds: 45, seed: 7 });
    expect(rounds).toBeGreaterThan(5);
    expect(killed).toBeGreaterThan(5);
  } finally {
    await world.end();
  }
});
