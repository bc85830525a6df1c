/** Guests on pools: limits that a running guest feels, and what the pool says of them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { eventsPath } from "../src/base/paths.ts";
import { CAP_SYS_RESOURCE, hasCapability } from "../src/kernel/capabilities.ts";
import { btrfsGap } from "../src/storage/testing.ts";
import { type Info, newWorld, run, type World } from "./support/world.ts";

describe("soft limits", () => {
  let world: World;
  const events = (): readonly string[] =>
    readFileSync(eventsPath(world.at), "utf8")
      .split("\n")
      .flatMap((line) => /"event":"(disk-soft[a-z-]*)"/.exec(line)?.[1] ?? []);
  beforeAll(async () => {
    world = await newWorld("busybox");
    await world.ok(
      ...["create", "web", "-t", "busybox", "--network", "none", "--disk", "20M:64M", "--start"],
    );
  });
  afterAll(() => world.end());

  test("a guest above one is marked, since when is told, and an event is written once", async () => {
    expect(await world.ok("ls")).not.toContain("!");
    await world.sh("web", "dd if=/dev/zero of=/root/much bs=1M count=30");
    for (let i = 0; i < 3; i += 1) expect(await world.ok("ls")).toMatch(/3\d(\.\d)?M\/64M!/);
    expect(await world.ok("info", "web")).toMatch(/soft limit: +20M: above it, noticed 20.*only told/);
    const info = await world.json<Info>("info", "web");
    expect(info.disk?.over?.until).toBeNull();
    expect(Math.abs(Date.now() - Date.parse(info.disk?.over?.since ?? ""))).toBeLessThan(60_000);
    expect(events()).toEqual(["disk-soft"]);
  });

  test("it changes while the guest runs; below it the mark goes, with an event", async () => {
    expect(await world.ok("set", "web", "--disk", "40M:64M")).toBe("web: set");
    expect(await world.ok("ls")).not.toContain("!");
    expect(events()).toEqual(["disk-soft", "disk-soft-end"]);
    const wrong = await world.berth("set", "web", "--disk", "64M:40M");
    expect([wrong.code, wrong.stderr]).toEqual([6, expect.stringContaining("--disk 40M:64M")]);
    expect(await world.ok("set", "web", "--disk", "64M")).toBe("web: set");
    expect(await world.json<Info>("info", "web")).toMatchObject({ limits: { diskSoft: null } });
  });
});

const MiB = 2 ** 20;
const gap = btrfsGap();

test("a work directory that overlayfs cannot use is an error of the start, never a guest that cannot write", async () => {
  const world = await newWorld("busybox");
  const change = async (flag: string): Promise<void> => {
    const image = readdirSync(`${world.at.lib}/pool/image`).find((name) => name.endsWith(".img"));
    const script = `mount -o loop "${world.at.lib}/pool/image/${image}" /mnt && chattr -R ${flag} /mnt/work`;
    const { code, stderr } = await run(["unshare", "--mount", "--propagation=private", "sh", "-c", script]);
    if (code !== 0) throw new Error(stderr);
  };
  try {
    await world.ok("create", "web", "-t", "busybox", "--network", "none", "--disk", "64M");
    await change("+i");
    const { code, stderr } = await world.berth("start", "web");
    expect([code, stderr]).toEqual([1, expect.stringMatching(/read-only|work/)]);
    expect(await world.json<Info>("info", "web")).toMatchObject({ state: "stopped" });
    await change("-i");
    await world.ok("start", "web");
    await world.sh("web", "echo well > /root/well");
  } finally {
    await world.end();
  }
});

test("what lies in no pool is shown, and what snapshots take of it", async () => {
  const world = await newWorld("busybox");
  type Pool = {
    readonly driver: string;
    readonly volumes: number;
    readonly layers: number;
    readonly layerBytes: number;
  };
  const told = async () =>
    (await world.json<{ pools: readonly Pool[] }>("pool", "info")).pools.map((pool) => ({
      ...pool,
      layerBytes: Math.round(pool.layerBytes / MiB),
    }));
  try {
    expect(await told()).toEqual([]);
    for (const storage of ["image", "plain"]) {
      await world.ok(
        "create",
        storage,
        "-t",
        "busybox",
        "--network",
        "none",
        "--storage",
        storage,
        "--start",
      );
      await world.sh(storage, "dd if=/dev/urandom of=/root/much bs=1M count=20 && sync");
      await world.ok("stop", "--kill", storage);
      await world.ok("snapshot", "create", storage, "one");
    }
    for (const pool of await told()) {
      expect(pool).toMatchObject({ volumes: 2, layers: 1, source: { kind: "own" } });
      expect(pool.layerBytes).toBeWithin(20, 30);
    }
    expect(await world.ok("pool", "info")).toMatch(/^plain +no pool, .* 2 .*M in 1 /m);
    const late = await world.berth("pool", "create", "--driver", "image", "--size", "1G");
    expect([late.code, late.stderr]).toEqual([4, expect.stringContaining("`berth move` brings")]);
  } finally {
    await world.end();
  }
});

test("a pool that cannot grow stays as it was, and one that is too small is not moved to", async () => {
  const world = await newWorld("busybox");
  const size = () => statSync(`${world.at.lib}/pool/plain.img`).size;
  try {
    await world.ok("pool", "create", "--driver", "plain", "--size", "64M");
    if (!hasCapability(CAP_SYS_RESOURCE)) {
      const { code, stderr } = await world.berth("pool", "grow", "--size", "80M");
      expect([code, stderr, size()]).toEqual([7, expect.stringContaining("CAP_SYS_RESOURCE"), 64 * MiB]);
    }
    await world.ok("create", "web", "-t", "busybox", "--network", "none", "--start");
    await world.sh("web", "dd if=/dev/zero of=/root/much bs=1M count=80 && sync");
    await world.ok("stop", "--kill", "web");
    const { code, stderr } = await world.berth("move", "web", "plain");
    expect([code, stderr]).toEqual([9, expect.stringMatching(/^berth: container web has 8\d.*M to copy/)]);
    await world.ok("rm", "web");
    await world.ok("pool", "rm");
  } finally {
    await world.end();
  }
});

test("quota of users is refused with the reason where the kernel or the driver has none, and nothing is left", async () => {
  const world = await newWorld("busybox");
  try {
    const create = ["create", "many", "-t", "busybox", "--network", "none", "--quota-users", "yes"];
    const plain = await world.berth(...create, "--storage", "plain");
    expect([plain.code, plain.stderr]).toEqual([7, expect.stringContaining("drivers project and image")]);
    const image = await world.berth(...create, "--storage", "image");
    if (image.code !== 0) expect([image.code, image.stderr]).toEqual([7, expect.stringContaining("quota")]);
    await world.berth("rm", "many");
    await world.ok("create", "plain", "-t", "busybox", "--network", "none");
    const without = await world.berth("quota", "set", "plain", "--user", "1000", "--disk", "1G");
    expect(without.stderr).toContain("--quota-users yes");
    expect((await world.berth("quota", "set", "plain", "--disk", "1G")).stderr).toContain("--user NAME");
  } finally {
    await world.end();
  }
});

describe.skipIf(gap !== undefined)(`driver btrfs${gap === undefined ? "" : ` SKIP: ${gap}`}`, () => {
  let world: World;
  const fill = (mebibytes: number) =>
    world.berth(
      "exec",
      "web",
      "--",
      "dd",
      "if=/dev/zero",
      "of=/root/full",
      "bs=1M",
      `count=${mebibytes}`,
      "conv=fsync",
    );
  beforeAll(async () => {
    world = await newWorld("busybox");
    await world.ok("pool", "create", "--driver", "btrfs", "--size", "1G");
  });
  afterAll(async () => {
    await world.ok("rm", "--force", "web");
    await world.ok("pool", "rm");
    await world.end();
  });

  test("a guest boots on it, stops at its limit, feels a larger one at once, and can remove files when full", async () => {
    await world.ok("create", "web", "-t", "busybox", "--network", "none", "--disk", "64M", "--start");
    expect(await world.json<Info>("info", "web")).toMatchObject({ storage: "btrfs" });
    const full = await fill(100);
    expect(full.code).not.toBe(0);
    expect(full.stderr).toMatch(/quota|space/i);
    expect(await world.ok("set", "web", "--disk", "200M")).toBe("web: set");
    expect((await fill(100)).code).toBe(0);
    const less = await world.berth("set", "web", "--disk", "64M");
    expect(less.stderr).toContain("holds too much");
    expect((await fill(300)).code).not.toBe(0);
    await world.sh("web", "rm /root/full; sync; echo kept > /root/kept");
    expect(await world.ok("pool", "check")).toBe("pool btrfs: sound");
  });

  test("a limit of files is refused with words, and changes nothing", async () => {
    const { code, stderr } = await world.berth("set", "web", "--inodes", "5000");
    expect([code, stderr]).toEqual([1, expect.stringContaining("cannot limit the number of files")]);
    expect(await world.ok("config", "show", "web")).not.toContain("inodes: 5000");
  });

  test("its pool is mounted by the command that needs it, grows, and keeps what it holds", async () => {
    await world.ok("stop", "--kill", "web");
    await world.ok("pool", "grow", "--size", "1200M");
    const { pools } = await world.json<{ pools: readonly { size: number; promised: number }[] }>(
      "pool",
      "info",
    );
    expect(pools[0]).toMatchObject({ size: 1200 * MiB, promised: 200 * MiB });
    Bun.spawnSync(["umount", `${world.at.lib}/pool/btrfs`]);
    await world.ok("start", "web");
    expect(await world.sh("web", "cat /root/kept")).toBe("kept");
  });
});
