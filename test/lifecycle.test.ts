/** Starting, stopping, rebooting, ending: by command and by the guest itself. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { containerPaths, eventsPath } from "../src/base/paths.ts";
import {
  berthBinary,
  crasher,
  type Info,
  leftovers,
  newWorld,
  run,
  until,
  type World,
} from "./support/world.ts";

let world: World;
const info = (name: string) => world.json<Info>("info", name);
beforeAll(async () => {
  world = await newWorld("busybox", "debian-13");
  await world.ok("create", "box", "-t", "busybox");
});
afterAll(() => world.end());

describe("by command", () => {
  test("start, restart, stop", async () => {
    expect(await world.ok("start", "box")).toBe("box: started");
    const first = (await info("box")).pid;
    expect(await world.ok("restart", "box")).toBe("box: restarted");
    const second = (await info("box")).pid;
    expect(second).not.toBe(first);
    expect(await world.ok("stop", "box")).toBe("box: stopped");
    expect(await info("box")).toMatchObject({ state: "stopped", pid: null });
  });
  test("data outlives a restart", async () => {
    await world.ok("start", "box");
    await world.sh("box", "echo precious > /root/file; sync");
    await world.ok("restart", "--kill", "box");
    expect(await world.sh("box", "cat /root/file")).toBe("precious");
  });
  test("freeze holds every process, thaw lets them go on", async () => {
    await world.sh(
      "box",
      "(i=0; while :; do i=$((i+1)); echo $i > /root/tick.new; mv /root/tick.new /root/tick; usleep 10000; done) > /dev/null 2>&1 &",
    );
    await world.ok("freeze", "box");
    expect((await info("box")).state).toBe("frozen");
    const before = (await info("box")).usage?.cpuSeconds ?? 0;
    await Bun.sleep(300);
    expect((await info("box")).usage?.cpuSeconds ?? 1).toBeCloseTo(before, 2);
    expect((await world.berth("exec", "box", "true")).code).toBe(125);
    await world.ok("thaw", "box");
    expect((await info("box")).state).toBe("running");
    await world.sh("box", 'a=$(cat /root/tick); usleep 300000; test "$a" != "$(cat /root/tick)"');
  });
  test("a frozen guest can be stopped", async () => {
    await world.ok("freeze", "box");
    await world.ok("stop", "box", "--timeout", "10s");
    expect((await info("box")).state).toBe("stopped");
  });
  test("a guest that ignores the signal is killed after its time", async () => {
    await world.ok(
      "create",
      "deaf",
      "-t",
      "busybox",
      "--init",
      "/bin/sh",
      "--init=-c",
      "--init",
      "trap '' TERM USR2 PWR; while :; do sleep 1; done",
      "--network",
      "none",
    );
    await world.ok("start", "deaf");
    expect(await world.ok("stop", "deaf", "--timeout", "1s")).toBe("deaf: stopped (killed)");
  });
});

describe("by the guest", () => {
  test("one that powers off is stopped, with a record", async () => {
    await world.ok("start", "box");
    await world.berth("exec", "box", "poweroff");
    await until("box to stop", async () => (await info("box")).state === "stopped");
    expect((await info("box")).lastExit).toMatchObject({ kind: "halt", text: "powered off" });
  });
  test("one that reboots comes back, as a new init with the same address", async () => {
    await world.ok("create", "deb", "-t", "debian-13", "--memory", "512M", "--start");
    await world.booted("deb");
    const before = await info("deb");
    await world.berth("exec", "deb", "systemctl", "reboot");
    await until("deb to come back", async () => {
      const now = await info("deb");
      return now.state === "running" && now.pid !== before.pid;
    });
    await world.booted("deb");
    expect((await info("deb")).address).toBe(before.address);
    expect(await world.ok("stop", "deb")).toBe("deb: stopped");
  });
  test("one that was told to stop while it rebooted stays down", async () => {
    await world.ok("create", "told", "-t", "busybox", "--start");
    await world.ok("stop", "--kill", "told");
    // As its keeper asks, with the container's lock as fd 3.
    const lines = 'exec 3>>"$1"; flock 3; exec "$2" start --by-keeper told';
    const { env, at } = world;
    const asked = await run(["sh", "-c", lines, "sh", `${at.run}/.lock/told`, berthBinary], { env });
    expect(asked).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await world.ok("ls", "told", "--json")).toContain('"stopped"');
  });
  test("one that does nothing but reboot stays down after a few rounds", async () => {
    await world.ok(
      "create",
      "storm",
      "-t",
      "busybox",
      "--init",
      "/bin/sh",
      "--init=-c",
      "--init",
      "reboot -f",
      "--network",
      "none",
      "--start",
    );
    await until(
      "storm to be refused",
      () => readFileSync(eventsPath(world.at), "utf8").includes('"reboot-failed"'),
      60_000,
    );
    expect((await info("storm")).state).toBe("stopped");
    const events = readFileSync(eventsPath(world.at), "utf8")
      .trim()
      .split("\n")
      .filter((line) => line.includes('"storm"'));
    expect(events.filter((line) => line.includes('"kind":"reboot"')).length).toBe(6);
  });
  test("one whose init ends by itself says so", async () => {
    await world.ok(
      "create",
      "brief",
      "-t",
      "busybox",
      "--init",
      "/bin/sh",
      "--init=-c",
      "--init",
      "exit 7",
      "--network",
      "none",
      "--start",
    );
    await until("brief to end", async () => (await info("brief")).state === "stopped");
    expect((await info("brief")).lastExit).toMatchObject({
      kind: "exit",
      code: 7,
      text: "init ended with code 7",
    });
  });
  test("one whose init crashes says so", async () => {
    // A fault of its own: the kernel keeps init from signals that others send.
    await world.ok("create", "crash", "-t", "busybox", "--network", "none", "--start");
    await run([berthBinary, "exec", "crash", "--", "sh", "-c", "cat > /crash; chmod 755 /crash; sync"], {
      input: await crasher(),
      env: world.env,
    });
    await world.ok("stop", "crash");
    await world.ok("set", "crash", "--init", "/crash");
    await world.ok("start", "crash");
    await until("crash to end", async () => (await info("crash")).state === "stopped", 20_000);
    expect((await info("crash")).lastExit?.text).toBe("init crashed by SIGSEGV");
  });
  test("ends are in the events", () => {
    const events = readFileSync(eventsPath(world.at), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { container: string; kind?: string });
    expect(events.some(({ container, kind }) => container === "deb" && kind === "reboot")).toBe(true);
    expect(events.some(({ container, kind }) => container === "box" && kind === "halt")).toBe(true);
  });
});

describe("a keeper that was killed", () => {
  const killKeeper = async (name: string): Promise<void> => {
    const keeper = Number(readFileSync(containerPaths(name, world.at).init, "utf8").split(" ")[3]);
    process.kill(keeper, "SIGKILL");
    await until("its death to be seen", async () => (await info(name)).unattended);
  };
  test("leaves its guest alive; the next change brings a new one, without a console", async () => {
    await world.ok("create", "orphan", "-t", "busybox", "--start");
    const { pid } = await info("orphan");
    await killKeeper("orphan");
    expect(await world.sh("orphan", "echo alive")).toBe("alive");
    await world.ok("set", "orphan", "--memory", "64M");
    expect(await info("orphan")).toMatchObject({ state: "running", unattended: false, pid });
    const { code, stderr } = await world.berth("console", "orphan");
    expect([code, stderr.includes("lost its keeper")]).toEqual([1, true]);
  });
  test("and that one sees the guest's end", async () => {
    await world.berth("exec", "orphan", "poweroff");
    await until("orphan to stop", async () => (await info("orphan")).lastExit !== null);
    expect((await info("orphan")).lastExit?.kind).toBe("unknown");
    await until("its cgroups to be gone", () => !leftovers(world.at).includes("cgroup orphan"));
  });
});

test("twenty at once", async () => {
  const names = Array.from({ length: 20 }, (_, index) => `many${index}`);
  await Promise.all(names.map((name) => world.ok("create", name, "-t", "busybox", "--memory", "32M")));
  await world.ok("start", ...names);
  const running = (await world.ok("ls", "--running", "--names")).split("\n");
  expect(names.every((name) => running.includes(name))).toBe(true);
  const addresses = new Set(await Promise.all(names.map(async (name) => (await info(name)).address)));
  expect(addresses.size).toBe(20);
  await world.sh("many0", `ping -c 1 -W 5 ${(await info("many19")).address}`);
  await world.ok("stop", ...names);
  expect(await world.ok("ls", "--running", "--names")).not.toContain("many");
  await world.ok("rm", ...names);
});
