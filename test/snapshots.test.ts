/** Snapshots, clones, other names and other pools: what a container holds is what it held, and nothing is left. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { soakStorage } from "./support/soak-storage.ts";
import { type Info, newWorld, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld("busybox", "debian-13");
});
afterAll(() => world.end());

const create = async (name: string, storage: string, ...more: readonly string[]) =>
  await world.ok("create", name, "-t", "busybox", "--storage", storage, "--disk", "64M", ...more, "--start");

const stopped = async (name: string) => await world.ok("stop", "--kill", name);

/** Everything in a guest's tree that it could have changed, by its own eyes. */
const tree = async (name: string): Promise<string> =>
  await world.sh(
    name,
    "cd / && find bin etc root srv usr -xdev ! -type d | sort | xargs stat -c '%n %F %a %u %g %h %s'; find etc root srv usr -xdev -type f | sort | xargs md5sum",
  );

/** Copied up, removed, opaque, renamed and linked: all that an upper directory can hold. */
const changeMuch = async (name: string, word: string): Promise<string> =>
  await world.sh(
    name,
    `mkdir -p /srv/a/b /etc/x && echo ${word} > /srv/a/b/file && ln -sf ../a/b/file /srv/link && ln -f /srv/a/b/file /srv/hard
     rm -rf /usr/share && mkdir -p /usr/share && echo ${word} > /usr/share/only
     mv /etc /etc.moved && mv /etc.moved /etc && rm -f /bin/vi && chmod 4755 /srv/hard && chown 1000:1000 /srv/link
     dd if=/dev/zero of=/srv/hole bs=1 count=1 seek=1M 2>/dev/null; mkfifo /srv/fifo 2>/dev/null; sync`,
  );

for (const storage of ["image", "plain"])
  describe(`on ${storage}`, () => {
    afterEach(() => world.ok("rm", "--force", "--all"));

    test("a stopped container goes back to a snapshot, as often as wanted", async () => {
      await create("a", storage);
      await changeMuch("a", "before");
      const before = await tree("a");
      await stopped("a");
      await world.ok("snapshot", "create", "a", "s");
      await world.ok("start", "a");
      expect(await tree("a")).toBe(before);
      await changeMuch("a", "after");
      await world.sh("a", "rm -rf /srv/a; echo new > /root/new");
      for (let round = 0; round < 2; round += 1) {
        await stopped("a");
        await world.ok("snapshot", "restore", "a", "s");
        await world.ok("start", "a");
        expect(await tree("a")).toBe(before);
        await world.sh("a", `echo ${round} > /srv/a/b/file`);
      }
    });

    test("a running one is caught in one moment, and goes on", async () => {
      await create("a", storage);
      await changeMuch("a", "first");
      // The second file is always written after the first: a snapshot may miss the last step, never one before.
      await world.sh(
        "a",
        "(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo $i > /root/1.new; mv /root/1.new /root/1; echo $i > /root/2.new; mv /root/2.new /root/2; done) >/dev/null 2>&1 &",
      );
      const made = await world.json<{ running: boolean; frozenMilliseconds: number }>(
        "snapshot",
        "create",
        "a",
        "s",
      );
      expect(made.running).toBe(true);
      expect(made.frozenMilliseconds).toBeGreaterThan(0);
      const later = Number(await world.sh("a", "cat /root/2"));
      await world.ok("clone", "a", "b", "--snapshot", "s", "--start");
      const [one, two] = (await world.sh("b", "cat /root/1 /root/2")).split("\n").map(Number);
      expect((one ?? 0) - (two ?? 0)).toBeOneOf([0, 1]);
      expect(one ?? 0).toBeLessThanOrEqual(later);
      expect(one ?? 0).toBeGreaterThan(0);
      expect(await world.sh("b", "cat /srv/a/b/file")).toBe("first");
      expect(Number(await world.sh("a", "cat /root/2"))).toBeGreaterThan(later);
    });

    test("names of one file stay one file across layers", async () => {
      await create("a", storage);
      await world.sh("a", "cd /root; echo one > x; ln x y; mkdir d; ln x d/z");
      await stopped("a");
      await world.ok("snapshot", "create", "a", "s1");
      await world.ok("start", "a");
      await world.sh("a", "echo two > /root/x");
      expect(await world.sh("a", "cat /root/x /root/y /root/d/z")).toBe("two\ntwo\ntwo");
      const running = await world.json<{ layers: readonly unknown[] }>("snapshot", "create", "a", "s2");
      expect(running.layers).toHaveLength(2);
      await stopped("a");
      await world.ok("snapshot", "create", "a", "s3");
      for (const snapshot of ["s2", "s3"]) {
        await world.ok("clone", "a", snapshot, "--snapshot", snapshot, "--start");
        expect(await world.sh(snapshot, "cat /root/x /root/y /root/d/z")).toBe("two\ntwo\ntwo");
      }
    });

    test("a clone is another one from the first moment on, and outlives its source", async () => {
      await create("a", storage, "--memory", "48M");
      await changeMuch("a", "shared");
      await world.sh("a", "mkdir -p /etc/ssh; echo secret > /etc/ssh/ssh_host_x_key");
      await stopped("a");
      const cloned = await world.json<{ address: string }>("clone", "a", "b", "--memory", "32M", "--start");
      await world.ok("start", "a");
      const [a, b] = [await world.json<Info>("info", "a"), await world.json<Info>("info", "b")];
      expect(b).toMatchObject({ address: cloned.address, limits: { memory: 32 * 2 ** 20 } });
      for (const key of ["address", "baseUid", "uuid"] as const) expect(a[key]).not.toBe(b[key]);
      expect(await world.sh("b", "hostname; cat /etc/machine-id")).toBe(`b\n${b.uuid.replaceAll("-", "")}`);
      expect(await world.sh("b", "ls /etc/ssh")).toBe("");
      expect(await world.sh("a", "ls /etc/ssh")).toBe("ssh_host_x_key");
      expect(await world.sh("b", "stat -c %u /srv/hard; echo own > /srv/hard; cat /srv/a/b/file")).toBe(
        "0\nown",
      );
      expect(await world.sh("a", "cat /srv/hard")).toBe("shared");
      await world.ok("rm", "--force", "a");
      await world.ok("restart", "--kill", "b");
      expect(await world.sh("b", "cat /srv/a/b/file; cat /usr/share/only")).toBe("own\nshared");
    });

    test("another name changes nothing else", async () => {
      await create("a", storage);
      await changeMuch("a", "word");
      await world.ok("snapshot", "create", "a", "s");
      await stopped("a");
      const { uuid, address } = await world.json<Info>("info", "a");
      await world.ok("rename", "a", "b");
      await world.ok("start", "b");
      expect(await world.json<Info>("info", "b")).toMatchObject({ uuid, address, state: "running" });
      expect(await world.sh("b", "hostname; cat /srv/hard")).toBe("b\nword");
      expect(await world.json<readonly unknown[]>("snapshot", "ls", "b")).toHaveLength(1);
      expect((await world.berth("info", "a")).code).toBe(3);
    });

    test("moves to another pool and back with layers and snapshots", async () => {
      const target = storage === "image" ? "plain" : "image";
      await create("a", storage);
      await changeMuch("a", "one");
      await stopped("a");
      await world.ok("snapshot", "create", "a", "s");
      await world.ok("start", "a");
      await changeMuch("a", "two");
      const now = await tree("a");
      for (const to of [target, storage]) {
        await stopped("a");
        await world.ok("move", "a", to);
        await world.ok("start", "a");
        expect(await tree("a")).toBe(now);
        expect(await world.json<{ storage: string }>("info", "a")).toMatchObject({ storage: to });
      }
      await stopped("a");
      await world.ok("snapshot", "restore", "a", "s");
      await world.ok("start", "a");
      expect(await world.sh("a", "cat /srv/hard")).toBe("one");
    });
  });

describe("snapshots", () => {
  test("a layer that was frozen before the limit became smaller moves with the container", async () => {
    await create("a", "plain");
    await world.sh("a", "dd if=/dev/urandom of=/root/much bs=1M count=60; sync");
    await stopped("a");
    await world.ok("snapshot", "create", "a", "s");
    await world.ok("set", "a", "--disk", "40M");
    await world.ok("move", "a", "image");
    await world.ok("start", "a");
    expect(await world.sh("a", "stat -c %s /root/much")).toBe(String(60 * 2 ** 20));
    await world.ok("rm", "--force", "a");
  });

  afterEach(() => world.ok("rm", "--force", "--all"));

  test("that come and go leave no layer behind", async () => {
    await create("a", "plain");
    await world.sh("a", "echo word > /root/word");
    await stopped("a");
    for (let round = 0; round < 3; round += 1) {
      await world.ok("snapshot", "create", "a", "s");
      await world.ok("snapshot", "rm", "a", "s");
    }
    expect(await world.json<{ layers: readonly unknown[] }>("info", "a")).toMatchObject({ layers: [] });
    await world.ok("start", "a");
    expect(await world.sh("a", "cat /root/word")).toBe("word");
  });

  test("go without the volume of a container that is mounted", async () => {
    await create("a", "plain");
    await world.sh("a", "echo word > /root/word");
    await stopped("a");
    await world.ok("snapshot", "create", "a", "s");
    const { path } = await world.json<{ path: string }>("mount", "a");
    await world.ok("snapshot", "rm", "a", "s");
    writeFileSync(`${path}/root/word`, "written meanwhile\n");
    await world.ok("umount", "a");
    await world.ok("start", "a");
    expect(await world.sh("a", "cat /root/word")).toBe("written meanwhile");
  });

  test("bring no limit back that has been changed since", async () => {
    await create("a", "image");
    await world.sh("a", "echo word > /root/word");
    await stopped("a");
    await world.ok("snapshot", "create", "a", "s");
    await world.ok("set", "a", "--disk", "128M");
    await world.ok("snapshot", "rm", "a", "s");
    await world.ok("start", "a");
    expect(Number(await world.sh("a", "df -k / | awk 'END { print $2 }'"))).toBeGreaterThan(100_000);
    expect(await world.sh("a", "cat /root/word")).toBe("word");
  });

  test("can be looked into while the guest runs, and nothing in them can be changed", async () => {
    await create("a", "image");
    await world.sh("a", "echo old > /root/word; ln -s /etc/passwd /root/trap");
    await world.ok("snapshot", "create", "a", "s");
    await world.sh("a", "echo new > /root/word");
    const { path } = await world.json<{ path: string }>("snapshot", "mount", "a", "s");
    expect(readFileSync(`${path}/root/word`, "utf8")).toBe("old\n");
    expect(() => readFileSync(`${path}/root/trap`)).toThrow("ELOOP");
    expect(() => writeFileSync(`${path}/root/word`, "x")).toThrow("EROFS");
    expect((await world.berth("snapshot", "rm", "a", "s")).stderr).toContain("is mounted at");
    await world.ok("umount", "a");
    await world.ok("snapshot", "rm", "a", "s");
  });

  test("are taken and removed by schedule", async () => {
    await create("a", "plain", "--snapshot-every", "10m", "--snapshot-keep", "2");
    expect(await world.ok("snapshot", "run")).toContain("a: took auto-");
    expect(await world.ok("snapshot", "run")).toBe("");
    await world.ok("snapshot", "create", "a", "brief", "--expires", "1s");
    await Bun.sleep(1100);
    expect(await world.ok("snapshot", "run")).toBe("a: removed brief");
  });

  test("say what cannot be done", async () => {
    await create("a", "plain");
    await world.ok("snapshot", "create", "a", "s");
    const failing = async (code: number, words: string, ...args: readonly string[]): Promise<void> => {
      const result = await world.berth(...args);
      expect(result).toMatchObject({ code });
      expect(result.stderr).toContain(words);
    };
    await failing(4, "has a snapshot s already", "snapshot", "create", "a", "s");
    await failing(2, "cannot be a snapshot's name", "snapshot", "create", "a", "../s");
    await failing(5, "is running", "snapshot", "restore", "a", "s");
    await failing(3, 'no snapshot "t"', "snapshot", "restore", "a", "t");
    await failing(5, "is running", "rename", "a", "b");
    await failing(5, "is running", "move", "a", "image");
    await failing(4, "there is a container a already", "clone", "a", "a");
    await failing(2, "cannot be a container's name", "clone", "a", "B!");
    await failing(3, "no snapshot", "clone", "a", "b", "--snapshot", "t");
    await stopped("a");
    await failing(2, "has storage plain already", "move", "a", "plain");
    expect(await world.ok("ls", "--names")).toBe("a");
  });
});

test("a clone of a systemd guest boots, with keys and a machine id of its own", async () => {
  await world.ok("create", "d", "-t", "debian-13", "--start");
  await world.booted("d");
  await world.ok("clone", "d", "e", "--start");
  await world.booted("e");
  const id = async (name: string) => await world.sh(name, "cat /etc/machine-id; hostname");
  expect(await id("e")).not.toBe(await id("d"));
  await world.ok("rm", "--force", "--all");
});

test("whatever is killed, the next command finds a sound state", async () => {
  const { rounds, killed } = await soakStorage(world, { seconds: 40, seed: 11 });
  expect(rounds).toBeGreaterThan(0);
  expect(killed).toBeGreaterThan(3);
});
