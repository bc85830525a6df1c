/** Mounts of host directories and of volumes: what the guest sees and may do, what the host keeps, what is refused. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { berthBinary, imageFilesOf, newWorld, run, type World } from "./support/world.ts";

let world: World;
let data: string;
beforeAll(async () => {
  world = await newWorld("busybox");
  data = `${world.root}/srv/data`;
  mkdirSync(data, { recursive: true });
  writeFileSync(`${data}/file`, "from the host\n");
  chownSync(`${data}/file`, 1000, 1000);
  await world.ok("create", "box", "-t", "busybox", "--network", "none", "--storage", "plain");
});
afterAll(() => world.end());

/** What `set --json` tells of one container. */
type Changed = { readonly result: { readonly atNextStart: readonly string[] } }[];

const fails = async (...args: readonly string[]): Promise<string> => {
  const { code, stderr } = await world.berth(...args);
  expect([args.join(" "), code]).not.toEqual([args.join(" "), 0]);
  return stderr;
};

/** The options of the mount at a target, as the guest sees them. */
const optionsAt = async (name: string, target: string): Promise<string> =>
  await world.sh(name, `awk '$2 == "${target}" { print $4 }' /proc/mounts`);

describe("a directory of the host", () => {
  test("is written to with the guest's ids, which are the host's, and by default without set-uid and devices", async () => {
    const set = await world.berth("set", "box", "--mount", `${data}:/data`);
    expect(set.stderr).toContain("can be neither suspended nor migrated");
    const another = await world.berth("set", "box", "--mount", `${data}:/more`);
    expect(another.stderr).not.toContain("migrated");
    await world.ok("set", "box", "--unmount", "/more");
    await world.ok("start", "box");
    expect(await world.sh("box", "stat -c %u:%g /data/file; cat /data/file")).toBe(
      "1000:1000\nfrom the host",
    );
    await world.sh("box", "echo inside > /data/new; chown 33:34 /data/new");
    const { uid, gid } = statSync(`${data}/new`);
    expect([uid, gid]).toEqual([33, 34]);
    expect(await optionsAt("box", "/data")).toMatch(/^rw,nosuid,nodev,/);
    const remounted = await world.berth("exec", "box", "--", "mount", "-o", "remount,bind,suid", "/data");
    expect(remounted.code).not.toBe(0);
  });

  test("opens no device, and takes no id that is not the guest's", async () => {
    await run(["mknod", "-m", "666", `${data}/null`, "c", "1", "3"]);
    writeFileSync(`${data}/stranger`, "");
    chownSync(`${data}/stranger`, 70_000, 70_000);
    const opened = await world.berth("exec", "box", "--", "sh", "-c", "echo > /data/null");
    expect(opened.stderr).toContain("Permission denied");
    expect(await world.sh("box", "stat -c %u /data/stranger")).toBe("65534");
  });

  test("read-only is read-only, whatever the guest's root tries", async () => {
    await world.ok(
      "set",
      "box",
      "--mount",
      `${data}:/data:ro,noexec`,
      "--mount",
      `${data}/file:/etc/note:ro`,
    );
    await world.ok("restart", "--kill", "box");
    expect(await optionsAt("box", "/data")).toMatch(/^ro,nosuid,nodev,noexec,/);
    expect(await world.sh("box", "cat /etc/note")).toBe("from the host");
    for (const line of [
      "echo > /data/x",
      "echo > /etc/note",
      "mount -o remount,bind,rw /data",
      "mount -o remount,rw /data",
      "mount --bind /data /mnt && mount -o remount,bind,rw /mnt",
    ]) {
      const tried = await world.berth("exec", "box", "--", "sh", "-c", line);
      expect([line, tried.code]).not.toEqual([line, 0]);
    }
    expect(existsSync(`${data}/x`)).toBe(false);
  });

  test("with noidmap belongs to nobody", async () => {
    await world.ok("set", "box", "--unmount", "/etc/note", "--mount", `${data}:/data:noidmap`);
    await world.ok("restart", "--kill", "box");
    expect(await world.sh("box", "stat -c %u:%g /data/file")).toBe("65534:65534");
    expect((await world.berth("exec", "box", "--", "touch", "/data/y")).code).not.toBe(0);
  });

  test("a file system without id-mapped mounts is named, and noidmap is the cure", async () => {
    const ram = `${world.root}/ram`;
    mkdirSync(ram);
    await run(["mount", "-t", "ramfs", "none", ram]);
    try {
      chmodSync(ram, 0o777);
      await world.ok("set", "box", "--mount", `${ram}:/data`);
      const stopped = await world.berth("restart", "--kill", "box");
      expect(stopped.stderr).toMatch(/ram: .*can its file system be idmapped/);
      expect(stopped.stderr).toContain("noidmap");
      await world.ok("set", "box", "--mount", `${ram}:/data:noidmap`);
      await world.ok("start", "box");
      await world.sh("box", "touch /data/z");
      await world.ok("stop", "--kill", "box");
    } finally {
      await run(["umount", ram]);
    }
  });

  test("reaches below other mounts of the list, in whatever order they are written", async () => {
    await world.ok(
      "set",
      "box",
      "--unset",
      "mounts",
      "--mount",
      `${data}:/srv/a/data`,
      "--mount",
      `${world.root}/srv:/srv/a`,
    );
    await world.ok("start", "box");
    expect(await world.sh("box", "cat /srv/a/data/file")).toBe("from the host");
    await world.ok("stop", "--kill", "box");
    await world.ok("set", "box", "--unset", "mounts");
  });
});

describe("a running guest", () => {
  test("gets new mounts at once, as locked as at a start, with directories of its own for them", async () => {
    await world.ok("volume", "create", "live", "--size", "32M", "--storage", "image");
    await world.ok("start", "box");
    const set = await world.json<Changed>(
      ...["set", "box", "--mount", `${data}:/new/here:ro`, "--mount", "live:/live"],
    );
    expect(set[0]?.result.atNextStart).toEqual([]);
    expect(await world.sh("box", "cat /new/here/file; stat -c %u /new; touch /live/x")).toBe(
      "from the host\n0",
    );
    expect(await optionsAt("box", "/new/here")).toMatch(/^ro,nosuid,nodev,/);
    const remounted = await world.berth("exec", "box", "--", "mount", "-o", "remount,bind,rw", "/new/here");
    expect(remounted.code).not.toBe(0);
    expect(await world.ok("volume", "info", "live")).toContain("box (runs with it)");
  });

  test("gets all or nothing", async () => {
    await world.sh("box", "ln -s /etc /link");
    const said = await fails("set", "box", "--mount", `${data}:/a-one`, "--mount", `${data}:/link/two`);
    expect(said).toContain("container box runs on as it was");
    expect(said).toContain("symbolic link in the guest");
    expect(await world.sh("box", "grep -c -e /a-one -e /two /proc/mounts || true")).toBe("0");
    expect(await world.ok("config", "show", "box")).not.toContain("/a-one");
  });

  test("keeps what is taken away or changed until its next start", async () => {
    const set = await world.json<Changed>("set", "box", "--unmount", "/live");
    expect(set[0]?.result.atNextStart).toEqual(["mounts"]);
    expect(await fails("volume", "rm", "live")).toContain("volume live is used by box");
    await world.ok("stop", "--kill", "box");
    await world.ok("volume", "rm", "live");
    await world.ok("set", "box", "--unset", "mounts");
  });
});

describe("sources and targets", () => {
  const refused: readonly [mount: (root: string) => string, says: string][] = [
    [() => "/:/x", "berth's own state"],
    [(root) => `${root}/var/lib:/x`, "berth's own state: no guest may see it"],
    [(root) => `${root}/run:/x`, "berth's own state"],
    [(root) => `${root}:/x`, "it holds"],
    [() => "/proc/sys:/x", "the guest has its own"],
    [() => "/sys:/x", "the guest has its own"],
    [() => "/dev/null:/x", "it is a device"],
    [() => "/srv:/", "the guest's root cannot be mounted over"],
    [() => "/srv:/proc/x", "nothing is mounted at or below"],
    [() => "/srv:/dev/shm", "nothing is mounted at or below"],
    [() => "/srv:/a/../b", "absolute path without"],
    [() => "srv/data:/x", "neither an absolute path"],
    [() => "/srv", "it is not a mount"],
    [() => "/srv:/x:rw,ro", "exclude each other"],
    [() => "/srv:/x:sync", "there is no option sync"],
    [() => "nothere:/x", 'there is no volume "nothere"'],
  ];
  for (const [mount, says] of refused)
    test(`${mount("ROOT")} is refused, and nothing has changed`, async () => {
      expect(await fails("set", "box", "--mount", mount(world.root))).toContain(says);
      expect(await world.ok("config", "show", "box")).not.toContain("/x");
    });

  test("nothing is unmounted that is not mounted", async () => {
    expect(await fails("set", "box", "--unmount", "/x")).toContain('nothing is mounted at "/x"');
  });

  test("a source that is missing stops the start before anything is made, unless it is optional", async () => {
    const set = await world.berth("set", "box", "--mount", `${world.root}/srv/gone:/x`);
    expect(set.stderr).toContain("the container will not start without it");
    const said = await fails("start", "box");
    expect(said).toContain(`mounts: ${world.root}/srv/gone (for /x): it does not exist`);
    expect(said).toContain("--unmount /x");
    await world.ok("set", "box", "--mount", `${world.root}/srv/gone:/x:optional`);
    const started = await world.berth("start", "box");
    expect([started.code, started.stderr]).toEqual([0, expect.stringContaining("/x is not mounted")]);
    expect((await world.berth("exec", "box", "--", "test", "-e", "/x")).code).toBe(1);
  });

  test("a restart that could not start again stops nothing", async () => {
    await world.ok("set", "box", "--mount", `${world.root}/srv/gone:/x`);
    expect(await fails("restart", "box")).toContain("it does not exist");
    expect(await world.sh("box", "echo lives")).toBe("lives");
    await world.ok("stop", "--kill", "box");
  });

  test("a symbolic link as source is followed and said; one to berth's own state is not", async () => {
    const link = `${world.root}/srv/link`;
    symlinkSync(data, link);
    await world.ok("set", "box", "--unset", "mounts", "--mount", `${link}:/x`);
    const started = await world.berth("start", "box");
    expect(started.stderr).toContain(`/x shows ${data}, to which ${link} leads`);
    expect(await world.sh("box", "cat /x/file")).toBe("from the host");
    await world.ok("stop", "--kill", "box");
    symlinkSync(`${world.root}/var`, `${world.root}/srv/trap`);
    expect(await fails("set", "box", "--mount", `${world.root}/srv/trap:/x`)).toContain("berth's own state");
  });

  test("a symbolic link of the guest in the target's path is not followed", async () => {
    await world.ok("set", "box", "--unset", "mounts");
    await world.ok("start", "box");
    await world.sh("box", "ln -s /etc /trap; mkdir /real; echo > /real/file");
    await world.ok("stop", "--kill", "box");
    await world.ok("set", "box", "--mount", `${data}:/trap/t-berth`);
    const said = await fails("start", "box");
    expect(said).toContain("/trap/t-berth: a part of this path is a symbolic link in the guest");
    expect(said).toContain("without symbolic links");
    expect(existsSync("/etc/t-berth")).toBe(false);
    await world.ok("set", "box", "--unmount", "/trap/t-berth", "--mount", `${data}:/real/file`);
    expect(await fails("start", "box")).toContain("/real/file: it is a file in the guest");
    await world.ok("set", "box", "--unset", "mounts");
  });
});

describe("a volume", () => {
  test("is the limit of what is in it; full, it harms neither the root nor its neighbours", async () => {
    await world.ok("volume", "create", "data", "--size", "48M", "--storage", "image");
    for (const name of ["one", "two"])
      await world.ok(
        ...["create", name, "-t", "busybox", "--network", "none", "--storage", "plain"],
        ...["--mount", "data:/var/lib/data"],
      );
    await world.ok("start", "one", "two");
    const size = await world.sh("one", "df -k /var/lib/data | awk 'NR == 2 { print $2 }'");
    expect(Number(size)).toBeWithin(30_000, 49_153);
    const full = await world.berth(
      "exec",
      "one",
      "--",
      "dd",
      "if=/dev/zero",
      "of=/var/lib/data/big",
      "bs=1M",
    );
    expect(full.stderr).toContain("No space left on device");
    await world.sh("one", "echo room > /root-file; sync");
    const [row] = await world.json<{ size: number; used: number }[]>("volume", "ls");
    expect(row?.used).toBeGreaterThan(30 * 2 ** 20);
  });

  test("is one file system for all that have it, with the ids of each", async () => {
    await world.sh(
      "two",
      "rm /var/lib/data/big; echo two > /var/lib/data/two; chown 33:34 /var/lib/data/two",
    );
    expect(await world.sh("one", "stat -c %u:%g /var/lib/data/two; cat /var/lib/data/two")).toBe(
      "33:34\ntwo",
    );
    expect(await world.sh("one", "ls /var/lib/data")).not.toContain("big");
    expect(imageFilesOf(world.at)).toHaveLength(1);
    expect(await optionsAt("one", "/var/lib/data")).toMatch(/^rw,nosuid,nodev,/);
  });

  test("is not removed and not resized while it is in use, nor while settings name it", async () => {
    expect(await fails("volume", "rm", "data")).toContain("volume data is used by one, two");
    expect(await fails("volume", "resize", "data", "--size", "96M")).toContain(
      "volume data is mounted by one, two",
    );
    await world.ok("set", "two", "--unset", "mounts");
    await world.ok("stop", "--kill", "one");
    await world.ok("rm", "one");
    expect(await fails("volume", "rm", "data")).toContain("volume data is used by two");
    expect(await world.ok("volume", "info", "data")).toContain("two (until it stops)");
  });

  test("outlives containers, grows, and goes to another one", async () => {
    await world.ok("restart", "--kill", "two");
    await world.ok("volume", "resize", "data", "--size", "96M");
    await world.ok("set", "two", "--mount", "data:/data:ro");
    await world.ok("restart", "--kill", "two");
    expect(await world.sh("two", "stat -c %u /data/two; cat /data/two")).toBe("33\ntwo");
    expect((await world.berth("exec", "two", "--", "touch", "/data/x")).code).not.toBe(0);
    expect(Number(await world.sh("two", "df -k /data | awk 'NR == 2 { print $2 }'"))).toBeGreaterThan(60_000);
    await world.ok("rm", "--force", "two");
    await world.ok("volume", "rm", "data");
    expect(readdirSync(`${world.at.lib}/pool/image`)).toEqual([]);
  });

  test("of driver plain says that it has no limit, and works the same", async () => {
    const made = await world.berth("volume", "create", "loose", "--storage", "plain");
    expect(made.stderr).toContain("loose has no limit");
    await world.ok("set", "box", "--mount", "loose:/loose");
    await world.ok("start", "box");
    await world.sh("box", "echo kept > /loose/file; chown 7 /loose /loose/file");
    await world.ok("restart", "--kill", "box");
    expect(await world.sh("box", "stat -c %u /loose; cat /loose/file")).toBe("7\nkept");
    await world.ok("stop", "--kill", "box");
    await world.ok("set", "box", "--unset", "mounts");
    await world.ok("volume", "rm", "loose");
  });

  test("has a name that is its own, and faults that say what they are about", async () => {
    await world.ok("volume", "create", "mine", "--size", "32M", "--storage", "image");
    expect(await fails("volume", "create", "mine")).toContain("there is a volume mine already");
    expect(await fails("volume", "create", "../x")).toContain("cannot be a volume's name");
    expect(await fails("volume", "info", "mine2")).toContain("did you mean mine?");
    expect(await fails("volume", "resize", "mine", "--inodes", "5000")).toContain("inode");
    expect((await world.json<{ size: number }>("volume", "info", "mine")).size).toBe(32 * 2 ** 20);
  });

  test("is whole after a command on it was killed: created, resized and removed by the next one", async () => {
    const file = `${world.at.lib}/volumes/mine.json`;
    const record = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    const cut = (name: string, intent: object): void =>
      writeFileSync(`${world.at.lib}/volumes/${name}.json`, JSON.stringify({ ...record, name, intent }));
    cut("mine", { operation: "resize", bytes: 64 * 2 ** 20 });
    expect((await world.json<{ size: number }>("volume", "info", "mine")).size).toBe(64 * 2 ** 20);
    expect(JSON.parse(readFileSync(file, "utf8"))).not.toHaveProperty("intent");
    cut("mine", { operation: "resize", bytes: 1 });
    await fails("volume", "info", "mine");
    expect((await world.json<{ size: number }>("volume", "info", "mine")).size).toBe(64 * 2 ** 20);
    cut("mine", { operation: "remove" });
    expect(await world.json<unknown[]>("volume", "ls")).toEqual([]);
    expect(readdirSync(`${world.at.lib}/pool/image`)).toEqual([]);
    cut("fresh", { operation: "create" });
    await world.ok("volume", "create", "fresh", "--size", "32M", "--storage", "image");
    await world.ok("volume", "rm", "fresh");
  });

  test("survives kill -9 at any moment of its making and removing", async () => {
    for (let after = 5; after < 95; after += 10) {
      const words = after % 20 === 5 ? ["create", "k", "--size", "32M", "--storage", "image"] : ["rm", "k"];
      const child = Bun.spawn([berthBinary, "volume", ...words], {
        env: world.env,
        stdio: ["ignore", "ignore", "ignore"],
      });
      await Bun.sleep(after);
      child.kill("SIGKILL");
      await child.exited;
      const there = await world.json<{ name: string }[]>("volume", "ls");
      expect(readdirSync(`${world.at.lib}/pool/image`).length).toBe(there.length);
    }
    await world.berth("volume", "rm", "k");
    expect(await world.json<unknown[]>("volume", "ls")).toEqual([]);
  });
});
