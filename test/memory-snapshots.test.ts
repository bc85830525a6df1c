/** Snapshots with memory: the guest goes on, and comes back later with disk and memory of that moment. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { containerPaths } from "../src/base/paths.ts";
import { findCriu } from "../src/checkpoint/program.ts";
import { counter, follow } from "./support/counter.ts";
import { killedAfter } from "./support/soak.ts";
import { type Info, newWorld, until, type World } from "./support/world.ts";

const criu = await findCriu();
const why = "fault" in criu ? `SKIP: ${criu.fault}: ` : "";
const checked = test.skipIf(why !== "");

let world: World;
let name = "m";
beforeAll(async () => {
  if (why !== "") return;
  world = await newWorld("debian-13");
  await world.ok("create", name, "-t", "debian-13", "--storage", "image", "--disk", "256M", "--start");
  await world.booted(name);
  await world.sh(
    name,
    `cat > /etc/systemd/system/counter.service <<'E'\n${counter}\nE\nsystemctl daemon-reload`,
  );
});
afterAll(async () => {
  if (why === "") await world.end();
});

const info = () => world.json<Info>("info", name);
const pidOfCounter = () => world.sh(name, "systemctl show -P MainPID counter.service");
const memories = (): string[] =>
  readdirSync(containerPaths(name, world.at).snapshots).filter((file) => file.endsWith(".memory"));
type Listed = { readonly snapshot: string; readonly memory: { readonly processes: number } | null }[];

checked(
  `${why}the guest goes on with its connections, and comes back as it was, under another name too`,
  async () => {
    await world.sh(
      name,
      "systemctl start counter.service; echo before > /root/disk; echo before > /run/memory",
    );
    const pid = await pidOfCounter();
    const stream = await follow((await info()).address);
    await until("the stream", () => stream.count() > 5, 20_000);
    const made = await world.json<{ frozenMilliseconds: number; memory: { processes: number } }>(
      ...["snapshot", "create", name, "warm", "--memory"],
    );
    expect(made.frozenMilliseconds).toBeGreaterThan(0);
    expect(made.memory.processes).toBeGreaterThan(3);
    const then = stream.count();
    await until("the stream to go on", () => stream.count() > then + 20 || stream.fault() !== "", 20_000);
    expect(stream.fault()).toBe("");
    stream.end();
    expect(await world.sh(name, "ls -a / /var | grep link_remap || true")).toBe("");

    await world.sh(name, "systemctl stop counter.service; echo after > /root/disk; echo after > /run/memory");
    expect((await world.berth("snapshot", "restore", name, "warm")).code).toBe(5);
    await world.ok("stop", "--kill", name);
    await world.ok("rename", name, "other");
    name = "other";
    for (let round = 0; round < 2; round += 1) {
      const back = await world.json<{ running: boolean }>("snapshot", "restore", name, "warm");
      expect(back.running).toBe(true);
      expect(await world.sh(name, "cat /root/disk /run/memory")).toBe("before\nbefore");
      expect(await pidOfCounter()).toBe(pid);
      const again = await follow((await info()).address);
      await until("a new connection", () => again.count() > 3, 20_000);
      again.end();
      expect(await world.sh(name, "systemctl is-system-running")).toBe("running");
      await world.sh(name, "echo after > /root/disk");
      await world.ok("stop", "--kill", name);
    }
  },
);

checked(`${why}what cannot come back leaves the container as it was`, async () => {
  await world.ok("start", name);
  await world.booted(name);
  await world.ok("snapshot", "create", name, "bad", "--memory");
  const dir = `${containerPaths(name, world.at).snapshots}/bad.memory/images`;
  const whole = readFileSync(`${dir}/fs-1.img`);
  writeFileSync(`${dir}/fs-1.img`, whole.fill(0xff, 12));
  expect((await world.berth("snapshot", "create", name, "bad", "--memory")).code).toBe(4);
  await world.sh(name, "echo kept > /root/disk; sync");
  await world.ok("stop", "--kill", name);
  expect((await world.berth("snapshot", "create", name, "cold", "--memory")).code).toBe(5);
  const failed = await world.berth("snapshot", "restore", name, "bad");
  expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining("did not come back")]);
  expect((await info()).state).toBe("stopped");
  await world.ok("start", name);
  expect(await world.sh(name, "cat /root/disk")).toBe("kept");
  await world.ok("stop", "--kill", name);
  truncateSync(`${dir}/fs-1.img`, 12);
  expect((await world.berth("snapshot", "restore", name, "bad")).stderr).toContain("bad.memory is damaged");
  await world.ok("snapshot", "restore", name, "bad", "--disk-only");
  expect((await info()).state).toBe("stopped");
  // It lies on the snapshot's layers already: what tells the old volume from the new one is not state.json.
  writeFileSync(`${dir}/fs-1.img`, whole);
  await world.ok("start", name);
  await world.sh(name, "echo again > /root/disk; sync");
  await world.ok("stop", "--kill", name);
  expect((await world.berth("snapshot", "restore", name, "bad")).stderr).toContain("did not come back");
  await world.ok("start", name);
  expect(await world.sh(name, "cat /root/disk")).toBe("again");
  await world.ok("stop", "--kill", name);
  await world.ok("snapshot", "rm", name, "bad");
  expect(memories()).toEqual(["warm.memory"]);
});

checked(`${why}killed at any point, there is a whole snapshot or none, and the guest lives`, async () => {
  await world.ok("start", name);
  await world.booted(name);
  for (const after of [300, 700, 1100, 1600]) {
    await killedAfter(world, ["snapshot", "create", name, `k${after}`, "--memory"], after);
    expect(await world.sh(name, "echo alive")).toBe("alive");
    const listed = await world.json<Listed>("snapshot", "ls", name);
    expect(memories().length).toBe(listed.filter(({ memory }) => memory !== null).length);
  }
  await world.sh(name, "echo now > /root/disk; sync");
  await world.ok("stop", "--kill", name);
  for (const after of [200, 600, 1000, 1500]) {
    await killedAfter(world, ["snapshot", "restore", name, "warm"], after);
    await until("the lock", async () => (await world.berth("info", name)).code === 0, 20_000);
    if ((await info()).state === "stopped") {
      await world.ok("start", name);
      expect(await world.sh(name, "cat /root/disk")).toBe("now");
    } else {
      expect(await world.sh(name, "cat /root/disk /run/memory")).toBe("before\nbefore");
      await world.sh(name, "echo now > /root/disk; sync");
    }
    await world.ok("stop", "--kill", name);
  }
});
