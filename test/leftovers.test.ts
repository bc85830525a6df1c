/** Two hundred lives of a guest leave nothing behind. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { keepers, leftovers, newWorld, until, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld("busybox");
});
afterAll(() => world.end());

const ROUNDS = 200;

/** What the host has of each kind that a guest is made of. */
function census(): Record<string, number> {
  return {
    mounts: readFileSync("/proc/self/mounts", "utf8").split("\n").length,
    links: readdirSync("/sys/class/net").filter((name) => name.startsWith(world.at.linkPrefix)).length,
    loops: readdirSync("/sys/block")
      .filter((name) => name.startsWith("loop") && readdirSync(`/sys/block/${name}`).includes("loop"))
      .filter((name) => {
        try {
          return readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8").startsWith(world.root);
        } catch {
          return false;
        }
      }).length,
    keepers: keepers(world.at).length,
  };
}

test(`${ROUNDS} rounds of create, start, stop, rm`, async () => {
  await world.ok("create", "warm", "-t", "busybox", "--start");
  await world.ok("rm", "--force", "warm");
  await until("the keeper to be gone", () => keepers(world.at).length === 0);
  const before = census();
  const lane = async (lane: number): Promise<void> => {
    for (let round = lane; round < ROUNDS; round += 2) {
      const name = `r${round}`;
      await world.ok("create", name, "-t", "busybox", "--memory", "32M", "--start");
      // Most are killed; some end as an operator would end them.
      await world.ok("stop", ...(round % 20 === 0 ? [] : ["--kill"]), name);
      await world.ok("rm", name);
    }
  };
  await Promise.all([lane(0), lane(1)]);
  await until("keepers to be gone", () => keepers(world.at).length === 0, 10_000);
  expect(leftovers(world.at)).toEqual([]);
  expect(census()).toEqual(before);
});
