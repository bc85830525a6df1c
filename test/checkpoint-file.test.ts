/** A checkpoint as a file: what a guest was doing goes on from it, here or elsewhere. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { containerPaths } from "../src/base/paths.ts";
import { findCriu } from "../src/checkpoint/program.ts";
import { counter, follow } from "./support/counter.ts";
import { killedAfter } from "./support/soak.ts";
import { type Info, newWorld, until, type World } from "./support/world.ts";

const criu = await findCriu();
const why = "fault" in criu ? `SKIP: ${criu.fault}: ` : "";
const checked = test.skipIf(why !== "");

let world: World;
beforeAll(async () => {
  if (why !== "") return;
  world = await newWorld("debian-13");
  await world.ok("create", "c", "-t", "debian-13", "--start");
  await world.booted("c");
  await world.sh(
    "c",
    `cat > /etc/systemd/system/counter.service <<'E'\n${counter}\nE\nsystemctl daemon-reload; systemctl start counter; echo disk > /root/disk; echo memory > /run/memory`,
  );
});
afterAll(async () => {
  if (why === "") await world.end();
});

const file = (name: string): string => `${world.root}/${name}`;
const info = (name: string) => world.json<Info>("info", name);
const held = (name: string) =>
  world.sh(name, "cat /root/disk /run/memory; systemctl show -P MainPID counter");

checked(
  `${why}the guest goes on with its connections, and so does its copy from the file, without them`,
  async () => {
    const before = await held("c");
    const stream = await follow((await info("c")).address);
    await until("the stream", () => stream.count() > 5, 20_000);
    await world.ok("checkpoint", "c", file("c.tar.zst"), "--upper");
    const then = stream.count();
    await until("the stream to go on", () => stream.count() > then + 20 || stream.fault() !== "", 20_000);
    expect(stream.fault()).toBe("");
    stream.end();
    expect(await world.ok("restore", file("c.tar.zst"), "--check")).toContain("upper, with processes");

    const copied = await world.berth("restore", file("c.tar.zst"), "d");
    expect([copied.code, copied.stderr]).toEqual([0, expect.stringContaining("its connections are closed")]);
    expect((await info("d")).state).toBe("suspended");
    await world.ok("resume", "d");
    expect(await held("d")).toBe(before);
    const other = await follow((await info("d")).address);
    await until("a new connection", () => other.count() > 3, 20_000);
    other.end();
    await world.ok("rm", "--force", "d");
  },
);

checked(`${why}what is cut short or altered is refused before anything is touched`, async () => {
  const whole = readFileSync(file("c.tar.zst"));
  for (const damage of [
    whole.subarray(0, whole.length - 20_000),
    Buffer.from(whole).fill(0x55, 9000, 9004),
  ]) {
    writeFileSync(file("bad.tar.zst"), damage);
    const { code, stderr } = await world.berth("restore", file("bad.tar.zst"), "d");
    expect([code, stderr]).toEqual([1, expect.stringMatching(/archive|bad\.tar\.zst/)]);
    expect(await world.ok("ls", "--names")).toBe("c");
  }
});

checked(`${why}killed at any point the guest goes on, and nothing of a file is left`, async () => {
  for (const after of [400, 900, 1500]) {
    await killedAfter(world, ["checkpoint", "c", file("k.tar.zst"), "--upper"], after);
    expect(await held("c")).toStartWith("disk\nmemory");
    const { snapshots } = containerPaths("c", world.at);
    expect(existsSync(snapshots) ? readdirSync(snapshots) : []).toEqual([]);
  }
});

checked(
  `${why}stopped for it, it is the same one again afterwards; and goes on when the file cannot be written`,
  async () => {
    const before = await held("c");
    const { uuid, address } = await info("c");
    expect((await world.berth("checkpoint", "c", "/nowhere/c.tar.zst", "--stop")).code).not.toBe(0);
    expect(await held("c")).toBe(before);
    await world.ok("checkpoint", "c", file("s.tar.zst"), "--stop");
    expect((await info("c")).state).toBe("stopped");
    await world.ok("rm", "c");
    await world.ok("restore", file("s.tar.zst"), "--start");
    expect(await held("c")).toBe(before);
    expect(await info("c")).toMatchObject({ uuid, address, state: "running" });
    expect(await world.sh("c", "systemctl is-system-running")).toBe("running");

    await world.ok("restore", file("c.tar.zst"), "boots", "--disk-only", "--start");
    await world.booted("boots");
    expect(await world.sh("boots", "cat /root/disk; ls /run/memory 2>/dev/null || echo none")).toBe(
      "disk\nnone",
    );
  },
);
