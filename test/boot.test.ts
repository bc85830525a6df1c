/** The main job: real guests boot clean, see themselves as they should, and reach what they should. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Info, needTemplates, newWorld, run, templateInfo, until, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld("debian-13", "debian-12", "busybox");
});
afterAll(() => world.end());

for (const release of ["debian-13", "debian-12"]) {
  describe(release, () => {
    const name = release;
    test("boots under systemd with no failed unit", async () => {
      await world.ok(
        "create",
        name,
        "--template",
        release,
        "--memory",
        "512M",
        "--cpus",
        "1.5",
        "--pids",
        "500",
        "--disk",
        "10G",
        "--start",
      );
      await world.booted(name);
      expect(await world.sh(name, "cat /proc/1/comm")).toBe("systemd");
      expect(await world.sh(name, "systemctl --failed --no-legend --plain")).toBe("");
    });
    test("knows that it is a container", async () => {
      expect(await world.sh(name, "systemd-detect-virt --container")).toBe("container-other");
    });
    test("has a prompt on its console", async () => {
      await until("a login prompt", async () => (await world.ok("log", name)).includes(`${name} login:`));
    });
    test("its root is a high user id on the host, one of its own", async () => {
      const { pid, baseUid } = await world.json<Info>("info", name);
      expect(baseUid).toBeGreaterThanOrEqual(1 << 28);
      expect(readFileSync(`/proc/${pid}/status`, "utf8")).toContain(`Uid:\t${baseUid}\t${baseUid}\t`);
      expect(await world.sh(name, "id -u")).toBe("0");
    });
    test("has its address, name and machine id", async () => {
      const { address, uuid } = await world.json<Info>("info", name);
      expect(await world.sh(name, "ip -4 -o addr show eth0")).toContain(` ${address}/`);
      expect(await world.sh(name, "hostname")).toBe(name);
      expect(await world.sh(name, "getent hosts $(hostname)")).toContain(address);
      expect(await world.sh(name, "cat /etc/machine-id")).toBe(uuid.replaceAll("-", ""));
    });
    test("reaches the host, and the host reaches it", async () => {
      const { address } = await world.json<Info>("info", name);
      const gateway = await world.sh(name, "ip route show default | cut -d' ' -f3");
      await world.sh(name, `ping -c 1 -W 5 ${gateway}`);
      expect((await run(["busybox", "ping", "-c", "1", "-W", "5", address])).code).toBe(0);
    });
    test("sees its own cgroup root and a read-only /sys", async () => {
      expect(await world.sh(name, "cat /proc/1/cgroup | grep ^0:")).toBe("0::/init.scope");
      expect((await world.berth("exec", name, "--", "mkdir", "/sys/fs/cgroup/t-mine")).code).toBe(0);
      expect(
        (await world.berth("exec", name, "--", "sh", "-c", "echo 1 > /sys/kernel/mm/ksm/run")).code,
      ).not.toBe(0);
    });
    test("its df shows its own disk", async () => {
      const size = Number(await world.sh(name, "df --output=size -B1 / | tail -1"));
      expect(size).toBeGreaterThan(9 * 2 ** 30);
      expect(size).toBeLessThanOrEqual(10 * 2 ** 30);
    });
  });
}

test("a second guest answers, by an address of its own", async () => {
  const [one, two] = [
    await world.json<Info>("info", "debian-13"),
    await world.json<Info>("info", "debian-12"),
  ];
  expect(one.address).not.toBe(two.address);
  expect(one.baseUid).not.toBe(two.baseUid);
  await world.sh("debian-13", `ping -c 1 -W 5 ${two.address}`);
});

/** Whether this host reaches the mirror that the template was built from. */
async function mirrorAnswers(): Promise<boolean> {
  await needTemplates("debian-13");
  const { mirror } = await templateInfo("debian-13");
  return await fetch(`${mirror}/dists/trixie/InRelease`, { signal: AbortSignal.timeout(20_000) }).then(
    (answer) => answer.ok,
    () => false,
  );
}

test.skipIf(!(await mirrorAnswers()))("apt-get update works where the host's does", async () => {
  await world.sh("debian-13", "apt-get update -o APT::Update::Error-Mode=any");
});

describe("busybox", () => {
  test("boots, and ends by its own poweroff", async () => {
    await world.ok("create", "box", "--template", "busybox", "--memory", "32M", "--start");
    expect(await world.sh("box", "cat /proc/1/comm")).toBe("init");
    await until("a prompt", async () => (await world.ok("log", "box")).includes("root@box"));
    await world.ok("stop", "box");
    expect((await world.json<Info>("info", "box")).lastExit?.kind).toBe("halt");
  });
});

test("the host's mount table holds nothing of a guest", () => {
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(world.root);
});
