/** Bridge, NAT table and berth's own cgroups come with the first guest and go with the last container. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { ensureBridge, removeBridge } from "../src/network/bridge.ts";
import { parseSubnet } from "../src/network/ipv4.ts";
import { leftovers, newWorld, run, sharedParts, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld("busybox");
});
afterAll(() => world.end());

test("they go with the last container, and stay for one that is stopped", async () => {
  await world.ok("create", "first", "-t", "busybox", "--start");
  await world.ok("create", "second", "-t", "busybox");
  expect(existsSync(`/sys/class/net/${world.at.bridge}`)).toBe(true);
  const parts = sharedParts(world.at);
  expect(parts.length).toBeGreaterThanOrEqual(3);
  await world.ok("rm", "--force", "first");
  expect(sharedParts(world.at)).toEqual(parts);
  await world.ok("rm", "second");
  expect(sharedParts(world.at)).toEqual([]);
});

test("who asks for the bridge while it is being taken away gets one", async () => {
  const subnet = parseSubnet("10.251.0.0/16");
  await ensureBridge(subnet, world.at);
  let asked = Promise.resolve();
  await removeBridge(world.at, () => {
    asked = ensureBridge(subnet, world.at);
    return false;
  });
  await asked;
  expect(sharedParts(world.at)).toEqual([`bridge ${world.at.bridge}`, `table ${world.at.nftTable}`]);
  await removeBridge(world.at, () => true);
  expect(sharedParts(world.at)).toHaveLength(2);
  await removeBridge(world.at);
  expect(sharedParts(world.at)).toEqual([]);
});

test("a bridge that the operator made stays", async () => {
  const { bridge, nftTable } = world.at;
  await run(["ip", "link", "add", bridge, "type", "bridge"]);
  try {
    await ensureBridge(parseSubnet("10.251.0.0/16"), world.at);
    expect(sharedParts(world.at)).toEqual([`bridge ${bridge}`, `table ${nftTable}`]);
    await removeBridge(world.at);
    expect(sharedParts(world.at)).toEqual([`bridge ${bridge}`]);
  } finally {
    await run(["ip", "link", "del", bridge]);
  }
});

test("a container that comes while the last one goes has all of them", async () => {
  const lives = async (lane: string): Promise<void> => {
    for (let round = 0; round < 5; round += 1) {
      const name = `${lane}${round}`;
      await world.ok("create", name, "-t", "busybox", "--storage", "plain", "--memory", "32M", "--start");
      const gateway = "$(ip route | sed -n 's/^default via //p' | cut -d' ' -f1)";
      await world.sh(name, `ping -c 1 -W 2 ${gateway}`);
      await world.ok("rm", "--force", name);
    }
  };
  await Promise.all(["a", "b", "c"].map(lives));
  expect(sharedParts(world.at)).toEqual([]);
  expect(leftovers(world.at)).toEqual([]);
});
