/** Limits hold, are felt inside, and hurt nobody else. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { eventsPath } from "../src/base/paths.ts";
import { CAP_SYS_RESOURCE, hasCapability } from "../src/kernel/capabilities.ts";
import { type Info, newWorld, until, type World } from "./support/world.ts";

let world: World;
const info = (name: string) => world.json<Info>("info", name);
beforeAll(async () => {
  world = await newWorld("busybox", "debian-13");
  await world.ok(
    "create",
    "small",
    "-t",
    "busybox",
    "--memory",
    "32M",
    "--pids",
    "50",
    "--disk",
    "64M",
    "--start",
  );
  await world.ok("create", "neighbour", "-t", "busybox", "--memory", "32M", "--start");
});
afterAll(() => world.end());

describe("memory", () => {
  test("a hog is killed inside; init and the neighbour live; the event is recorded", async () => {
    const hog = await world.berth(
      "exec",
      "small",
      "--",
      "sh",
      "-c",
      "dd if=/dev/zero of=/dev/null bs=100M count=1",
    );
    expect(hog.code).toBe(137);
    expect(await info("small")).toMatchObject({ state: "running" });
    expect((await info("small")).usage?.oomKills).toBeGreaterThan(0);
    expect(await world.sh("neighbour", "echo well")).toBe("well");
    const events = eventsPath(world.at);
    await until(
      "the event",
      () => existsSync(events) && readFileSync(events, "utf8").includes('"oom"'),
      10_000,
    );
  });
  test("can be raised while it runs", async () => {
    expect(await world.ok("set", "small", "--memory", "256M")).toBe("small: set");
    await world.sh("small", "dd if=/dev/zero of=/dev/null bs=100M count=1");
    await world.ok("set", "small", "--memory", "32M");
  });
});

describe("swap", () => {
  test("is none beside a memory limit, what is set, or without a limit", async () => {
    const told = async (...settings: readonly string[]): Promise<number | null> => {
      await world.ok("set", "neighbour", ...settings);
      return (await world.json<{ limits: { swap: number | null } }>("info", "neighbour")).limits.swap;
    };
    expect(await told("--unset", "swap")).toBe(0);
    expect(await told("--swap", "1M")).toBe(2 ** 20);
    expect(await told("--swap", "none")).toBeNull();
    expect(await told("--unset", "swap")).toBe(0);
  });
});

describe("pids", () => {
  test("a fork bomb stops at the limit", async () => {
    await world
      .sh("small", "i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; true")
      .catch(() => {});
    expect((await info("small")).usage?.pids ?? 0).toBeLessThanOrEqual(50);
    expect(await world.sh("neighbour", "echo well")).toBe("well");
    await world.ok("restart", "--kill", "small");
  });
});

describe("cpu", () => {
  test("a busy guest gets its share and no more", async () => {
    await world.ok("set", "small", "--cpus", "0.2");
    const before = (await info("small")).usage?.cpuSeconds ?? 0;
    await world.sh("small", "timeout 2 sh -c 'while :; do :; done'; true");
    const used = ((await info("small")).usage?.cpuSeconds ?? 0) - before;
    // 0.4 s would be exact; a quota period more on either side is the kernel's grain.
    expect(used).toBeGreaterThan(0.15);
    expect(used).toBeLessThan(0.8);
    await world.ok("set", "small", "--cpus", "none");
  });
});

describe("disk", () => {
  test("a full disk is the guest's own", async () => {
    const fill = await world.berth(
      "exec",
      "small",
      "--",
      "dd",
      "if=/dev/zero",
      "of=/root/full",
      "bs=1M",
      "count=100",
    );
    expect(fill.code).not.toBe(0);
    expect(fill.stderr).toMatch(/No space left|quota/i);
    await world.sh("neighbour", "dd if=/dev/zero of=/root/fine bs=1M count=5");
    const { disk } = await info("small");
    expect(disk?.size).toBeLessThanOrEqual(64 * 2 ** 20);
  });
  test("a running container's disk grows at once, or the error says what that needs", async () => {
    const grown = await world.berth("set", "small", "--disk", "96M");
    if (hasCapability(CAP_SYS_RESOURCE)) {
      expect(grown).toMatchObject({ code: 0, stdout: "small: set\n" });
      await world.sh("small", "dd if=/dev/zero of=/root/much bs=1M count=10; rm /root/much");
      expect((await info("small")).disk?.size).toBeGreaterThan(80 * 2 ** 20);
    } else {
      expect(grown.code).toBe(5);
      expect(grown.stderr).toContain("CAP_SYS_RESOURCE");
      expect((await info("small")).disk?.size).toBeLessThanOrEqual(64 * 2 ** 20);
    }
  });
  test("a stopped container's disk grows; what it held stays", async () => {
    await world.sh("small", "rm /root/full; echo kept > /root/kept; sync");
    const refused = await world.berth("set", "small", "--disk", "40M");
    expect(refused.code).toBe(5);
    expect(refused.stderr).toContain("berth stop small");
    await world.ok("stop", "small");
    await world.ok("set", "small", "--disk", "128M");
    await world.ok("start", "small");
    expect(await world.sh("small", "cat /root/kept")).toBe("kept");
    await world.sh("small", "dd if=/dev/zero of=/root/more bs=1M count=80");
  });
});

test("settings that wait for the next start are named, and comments stay", async () => {
  expect(await world.ok("set", "neighbour", "--hostname", "other", "--description", "a test")).toBe(
    "neighbour: set; at the next start: hostname",
  );
  expect(await world.ok("config", "show", "neighbour")).toContain("# neighbour: settings of this container");
  await world.ok("restart", "neighbour");
  expect(await world.sh("neighbour", "hostname; cat /etc/hostname")).toBe("other\nother");
});

test("inside a systemd guest the memory limit hits the unit, not the host", async () => {
  await world.ok("create", "deb", "-t", "debian-13", "--memory", "128M", "--start");
  await world.booted("deb");
  const { code } = await world.berth(
    "exec",
    "deb",
    "--",
    "sh",
    "-c",
    "head -c 400M /dev/zero | tail -c 400M > /dev/null",
  );
  expect(code).not.toBe(0);
  expect((await info("deb")).state).toBe("running");
  expect((await info("deb")).usage?.oomKills).toBeGreaterThan(0);
});
