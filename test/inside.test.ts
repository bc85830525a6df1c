/** Looking into containers and carrying files in and out: mount, run-script, cp, against guests that mean harm. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import {
  berthBinary,
  type Info,
  keepers,
  leftovers,
  newWorld,
  run,
  until,
  type World,
} from "./support/world.ts";

let world: World;
let host: string;
beforeAll(async () => {
  world = await newWorld("busybox");
  host = `${world.root}/host`;
  mkdirSync(host);
  await world.ok("create", "still", "-t", "busybox", "--storage", "image");
  await world.ok("create", "flat", "-t", "busybox", "--storage", "plain", "--quiet");
  await world.ok("create", "live", "-t", "busybox", "--storage", "image", "--start");
});
afterAll(() => world.end());

const info = (name: string): Promise<Info> => world.json<Info>("info", name);
const hostFile = (name: string, text: string): string => {
  writeFileSync(`${host}/${name}`, text);
  return `${host}/${name}`;
};
/** A script that is given to a stopped or running container. */
const script = (name: string, text: string, ...args: readonly string[]) =>
  world.berth("run-script", name, hostFile("script", text), ...args);
const inside = async (name: string, text: string): Promise<string> => {
  const { code, stdout, stderr } = await script(name, text);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout.trim();
};

async function refused(code: string, ...args: readonly string[]): Promise<string> {
  const result = await world.berth(...args, "--json");
  expect(result.code).not.toBe(0);
  const { error } = JSON.parse(result.stderr.trim().split("\n").at(-1) ?? "") as {
    error: { code: string; message: string; hint: string };
  };
  expect(error.code).toBe(code);
  expect(error.hint).not.toBe("");
  return error.message;
}

describe("mount", () => {
  for (const name of ["still", "flat"]) {
    test(`${name}: shows the root, holds the container still, and is gone after umount`, async () => {
      const path = await world.ok("mount", name);
      const { baseUid } = await info(name);
      expect(statSync(`${path}/etc/passwd`).uid).toBe(baseUid);
      const line = readFileSync("/proc/self/mounts", "utf8")
        .split("\n")
        .find((entry) => entry.includes(path));
      for (const flag of ["nosuid", "nodev", "noexec", "nosymfollow"]) expect(line).toContain(flag);
      symlinkSync("/etc/passwd", `${path}/root/trap`);
      expect(() => readFileSync(`${path}/root/trap`)).toThrow("ELOOP");
      writeFileSync(`${path}/root/note`, "from the host");

      const [listed] = await world.json<{ mounted: string[] }[]>("ls", name);
      expect(listed?.mounted).toEqual([path]);
      expect(await world.ok("ls", name)).toContain("stopped (mounted)");
      expect(await refused("container.mounted", "mount", name)).toContain(path);
      expect((await world.berth("start", name)).stderr).toContain(`mounted at ${path}`);
      expect((await world.berth("rm", name)).stderr).toContain(`berth umount ${name}`);
      await refused("container.mounted", "cp", `${name}:/etc/passwd`, host);
      if (name === "still") await refused("container.mounted", "set", name, "--disk", "11G");

      expect(await world.ok("umount", name)).toContain(path);
      expect(existsSync(path)).toBe(false);
      expect(await inside(name, "cat /root/note; rm /root/note /root/trap")).toBe("from the host");
      expect((await world.berth("umount", name)).code).toBe(5);
    });
  }
  test("read-only, at a place of one's own, which must be an empty directory", async () => {
    mkdirSync(`${host}/place`);
    expect(await refused("usage.bad-argument", "mount", "still", world.root)).toContain("not empty");
    expect(await refused("usage.bad-argument", "mount", "still", `${host}/nope`)).toContain("does not exist");
    await world.ok("mount", "still", `${host}/place`, "--read-only");
    expect(() => writeFileSync(`${host}/place/root/x`, "")).toThrow("EROFS");
    const busy = Bun.spawn(["sleep", "60"], { cwd: `${host}/place` });
    expect((await world.berth("umount", "still")).stderr).toContain("fuser -vm");
    busy.kill();
    await busy.exited;
    await world.ok("umount", "--all");
    expect(readdirSync(`${host}/place`)).toEqual([]);
  });
  test("a running container is not mounted", async () => {
    expect(await refused("container.running", "mount", "live")).toContain("live is running");
  });
  test("rm --force unmounts first", async () => {
    await world.ok("create", "t-gone", "-t", "busybox");
    const path = await world.ok("mount", "t-gone");
    await world.ok("rm", "--force", "t-gone");
    expect(existsSync(path)).toBe(false);
  });
});

describe("run-script", () => {
  const facts = `#!/bin/sh -u
    echo "$# $2"; cat; hostname; grep -E '^(CapBnd|Seccomp|NoNewPrivs):' /proc/self/status
    awk '{print $2, $3}' /proc/self/uid_map; tr -d '\\n' < /proc/1/comm; echo
    exit 7`;
  for (const name of ["still", "flat", "live"]) {
    test(`${name}: arguments, input, exit code, confinement as of exec`, async () => {
      const before = await info(name);
      const file = hostFile("facts", facts);
      const result = await run([berthBinary, "run-script", name, file, "a", "b c"], {
        input: "some input\n",
        env: world.env,
      });
      const status = await world.sh("live", "grep -E '^(CapBnd|Seccomp|NoNewPrivs):' /proc/self/status");
      expect([result.code, result.stderr]).toEqual([7, ""]);
      expect(result.stdout.split("\n")).toEqual([
        "2 b c",
        "some input",
        name,
        ...status.split("\n"),
        `${before.baseUid} 65536`,
        "init",
        "",
      ]);
      const after = await info(name);
      expect([after.state, after.lastExit]).toEqual([before.state, before.lastExit]);
    });
  }
  test("a stopped container has loopback alone, unless asked for more", async () => {
    const links = "ls /sys/class/net; ip -4 -o addr show dev eth0 2>/dev/null | awk '{print $4}'";
    expect(await inside("still", links)).toBe("lo");
    const { stdout } = await world.berth("run-script", "--network", "still", hostFile("script", links));
    const { address } = await info("still");
    expect(stdout).toStartWith(`eth0\nlo\n${address}/`);
  });
  test("the limits hold", async () => {
    await world.ok("set", "still", "--pids", "20");
    const { stderr } = await script("still", "for i in $(seq 40); do sleep 5 & done");
    expect(stderr).toContain("fork");
    await world.ok("set", "still", "--unset", "pids");
  });
  test("what it leaves running is killed, and the script leaves no trace", async () => {
    const started = Date.now();
    await inside("still", "sleep 300 >/dev/null 2>&1 </dev/null & kill -9 1; kill -TERM 1");
    expect(Date.now() - started).toBeLessThan(20_000);
    const { stdout, stderr } = await script("still", "readlink /proc/self/fd/4; echo x >> /proc/self/fd/4");
    expect(stdout).toContain("memfd:script");
    expect(stderr).toContain("ermi");
    expect(existsSync(`${world.at.run}/still/held`)).toBe(false);
  });
  test("what is no script, or has no interpreter, says so", async () => {
    expect((await script("still", "#!/no/such\n")).code).toBe(127);
    expect((await script("live", "#!/etc/passwd\n")).code).toBe(126);
    const result = await world.berth("run-script", "still", "/bin/true");
    expect([result.code, result.stderr]).toEqual([125, expect.stringContaining("is a program")]);
    expect((await world.berth("run-script", "still", `${host}/none`)).stderr).toContain("no such file");
    expect((await world.berth("run-script", "still", host)).stderr).toContain("not a regular file");
  });
  test("killed half way, nothing runs on and the next command finds it stopped", async () => {
    for (const name of ["still", "flat"]) {
      const file = hostFile(`long-${name}`, "echo ready; sleep 300");
      const child = Bun.spawn([berthBinary, "run-script", name, file], {
        stdio: ["ignore", "pipe", "ignore"],
        env: world.env,
      });
      await child.stdout.getReader().read();
      child.kill("SIGKILL");
      await child.exited;
      await world.ok("start", name);
      expect(await world.sh(name, "ps | grep -c '[s]leep 300' || true")).toBe("0");
      await world.ok("stop", "--kill", name);
    }
    await until("no keeper but one", () => keepers(world.at).length === 1, 5000);
    // All that is left is of the guest that runs.
    const kinds = leftovers(world.at).map((what) => what.split(" ")[0]);
    expect(kinds.filter((kind) => ["loop", "link", "cgroup", "mount"].includes(kind ?? ""))).toEqual([
      "link",
      ...kinds.filter((kind) => kind === "cgroup"),
      "loop",
    ]);
  });
});

/** Bytes that are no text in any encoding. */
const oddName = Buffer.from([0x6f, 0xff, 0x64]);

describe("cp", () => {
  const source = (): string => `${host}/tree`;
  beforeAll(() => {
    mkdirSync(`${source()}/sub`, { recursive: true });
    writeFileSync(`${source()}/file`, "content");
    writeFileSync(Buffer.concat([Buffer.from(`${source()}/sub/`), oddName]), "odd");
    symlinkSync("/etc/shadow", `${source()}/link`);
    chownSync(`${source()}/file`, 1000, 65535);
    chmodSync(`${source()}/file`, 0o4750);
    chownSync(`${source()}/sub`, 70_000, 0);
    utimesSync(`${source()}/file`, 1_000_000_000, 1_000_000_000);
  });

  for (const name of ["still", "flat", "live"]) {
    test(`${name}: a tree goes in and comes out again`, async () => {
      await world.ok("cp", source(), `${name}:/root`);
      await world.ok("cp", source(), `${name}:/root/`); // into what is there
      expect(await inside(name, "cd /root/tree && stat -c '%n %u %g %a' file sub; readlink link")).toBe(
        "file 1000 65535 4750\nsub 0 0 755\n/etc/shadow",
      );
      const copied = await world.json("cp", "--archive", `${name}:/root/tree`, `${host}/out-${name}`);
      expect(copied).toEqual({ files: 2, directories: 2, links: 1, bytes: 10, skipped: [] });
      const out = statSync(`${host}/out-${name}/file`);
      expect([out.uid, out.gid, out.mode & 0o7777, out.mtimeMs / 1000]).toEqual([1000, 65535, 0o750, 1e9]);
      expect(readdirSync(`${host}/out-${name}/sub`, { encoding: "buffer" })).toEqual([oddName]);
      expect(readlinkSync(`${host}/out-${name}/link`)).toBe("/etc/shadow");
      await world.ok("cp", `${name}:/root/tree/file`, `${host}/mine-${name}`);
      expect(statSync(`${host}/mine-${name}`).uid).toBe(0);
    });
  }
  // What the guest's side may do does not depend on the storage driver.
  for (const name of ["flat", "live"]) {
    test(`${name}: streams, owners and modes`, async () => {
      const words = ["cp", "--uid", "5", "--gid", "6", "--mode", "0604", "-", `${name}:/tmp/stream`];
      await run([berthBinary, ...words], { input: "bytes", env: world.env });
      expect(await inside(name, "stat -c '%u %g %a' /tmp/stream")).toBe("5 6 604");
      expect((await world.berth("cp", `${name}:/tmp/stream`, "-")).stdout).toBe("bytes");
    });
    test(`${name}: links of the guest lead nowhere on the host`, async () => {
      const secret = hostFile("secret", "of the host");
      await inside(
        name,
        `cd /root; ln -sf ${secret} file; ln -sfn ${host} dir; ln -sfn /proc/sys/kernel kernel
         ln -sfn /proc/1/root init; ln -sf /proc/sys/kernel/core_pattern core; ln -sf /etc/hostname name`,
      );
      const mine = hostFile("mine", "copied");
      const pattern = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
      // As targets: a link itself is replaced, one on the way is followed inside.
      await world.ok("cp", mine, `${name}:/root/file`);
      await world.ok("cp", mine, `${name}:/root/core`);
      expect(readFileSync(secret, "utf8")).toBe("of the host");
      expect(await inside(name, "cat /root/file; [ -L /root/core ] || echo; cat /root/core")).toBe(
        "copied\ncopied",
      );
      await refused("host.io", "cp", mine, `${name}:/root/dir/`);
      await refused("host.io", "cp", mine, `${name}:/root/init/`);
      await refused("host.io", "cp", mine, `${name}:/root/kernel/core_pattern`);
      await refused("host.io", "cp", mine, `${name}:/proc/sys/kernel/core_pattern`);
      expect(readFileSync("/proc/sys/kernel/core_pattern", "utf8")).toBe(pattern);
      // As sources: a link stays one, --follow goes where it leads in the guest.
      await inside(name, `ln -sf ${secret} /root/file`);
      await world.ok("cp", `${name}:/root/file`, `${host}/link-${name}`);
      expect(readlinkSync(`${host}/link-${name}`)).toBe(secret);
      await refused("host.io", "cp", "-L", `${name}:/root/file`, `${host}/never`);
      await refused("host.io", "cp", `${name}:/root/init/etc/passwd`, `${host}/never`);
      expect((await world.berth("cp", "-L", `${name}:/root/name`, "-")).code).toBe(0);
      expect(existsSync(`${host}/never`)).toBe(false);
    });
    test(`${name}: pipes and devices hold nobody up`, async () => {
      await inside(name, "mkdir -p /root/odd; mkfifo /root/odd/pipe; echo x > /root/odd/file");
      await refused("host.io", "cp", `${name}:/root/odd/pipe`, `${host}/never`);
      await refused("usage.bad-argument", "cp", `${name}:/root/odd/pipe`, "-");
      if (name === "live")
        for (const path of ["/dev/zero", "/proc/version", "/proc/1/root/etc/passwd"])
          await refused("host.io", "cp", `live:${path}`, `${host}/never`);
      const { skipped } = await world.json<{ skipped: string[] }>(
        "cp",
        `${name}:/root/odd`,
        `${host}/odd-${name}`,
      );
      expect(skipped).toEqual([`${name}:/root/odd/pipe`]);
      await world.ok("cp", hostFile("mine", "in its place"), `${name}:/root/odd/pipe`);
      expect(await inside(name, "cat /root/odd/pipe; rm -r /root/odd")).toBe("in its place");
    });
  }

  test("what an earlier copy brought out is not followed by the next one", async () => {
    mkdirSync(`${host}/victim`);
    await inside("flat", `mkdir /root/twice; ln -s ${host}/victim /root/twice/d`);
    await world.ok("cp", "flat:/root/twice", host);
    await inside("flat", "cd /root/twice; rm d; mkdir d; echo evil > d/file");
    expect(await refused("host.io", "cp", "flat:/root/twice", host)).toContain("where a directory should be");
    expect(readdirSync(`${host}/victim`)).toEqual([]);
  });

  test("directories that a guest swaps for links while they are copied", async () => {
    mkdirSync(`${host}/prey`);
    await world.ok("set", "live", "--cpus", "0.5"); // it is busy, and the copies want to get on
    hostFile("prey/secret", "of the host");
    await world.sh(
      "live",
      `mkdir -p /root/race/d /root/elsewhere; echo own > /root/race/d/secret; cd /root/race
       (while :; do mv d e; ln -s ${host}/prey d; rm d; ln -s /proc/1/root${host}/prey d; rm d; mv e d; done) >/dev/null 2>&1 &`,
    );
    for (let round = 0; round < 6; round += 1) {
      await world.berth("cp", "live:/root/race", `${host}/race-${round}`);
      await world.berth("cp", "live:/root/race/d/secret", `${host}/raced-${round}`);
      await world.berth("cp", `${host}/mine`, "live:/root/race/d/");
      await world.berth("cp", `${host}/tree`, "live:/root/race/d");
    }
    expect(readdirSync(`${host}/prey`)).toEqual(["secret"]);
    for (const path of readdirSync(host).filter((name) => name.startsWith("rac"))) {
      const found = await run(["grep", "-r", "of the host", `${host}/${path}`]);
      expect(found.stdout).toBe("");
    }
    await world.ok("stop", "--kill", "live");
  });

  test("a failure leaves what was there, and what a killed copy left is swept by the next", async () => {
    mkdirSync(`${host}/big/inner`, { recursive: true });
    writeFileSync(`${host}/big/inner/hole`, "");
    await run(["truncate", "-s", "64G", `${host}/big/zeros`]);
    await run(["dd", "if=/dev/zero", `of=${host}/big/inner/hole`, "bs=1M", "count=400", "status=none"]);
    const child = Bun.spawn([berthBinary, "cp", `${host}/big`, "flat:/root/"], {
      stdio: ["ignore", "ignore", "ignore"],
      env: world.env,
    });
    const root = `${world.at.lib}/pool/plain/${(await info("flat")).uuid}/upper/root`;
    const parts = (): string[] => readdirSync(root).filter((name) => name.startsWith(".berth-cp-"));
    await until("the copy to be under way", () => parts().length > 0, 10_000);
    child.kill("SIGKILL");
    await child.exited;
    expect(await inside("flat", "ls /root/big 2>&1 || true")).toContain("No such file");
    expect(parts().length).toBe(1);
    await world.ok("cp", `${host}/mine`, "flat:/root/");
    expect(parts()).toEqual([]);
    expect(lstatSync(`${root}/mine`).isFile()).toBe(true);
    await inside("flat", "mkdir -p /root/tree-file; echo keep > /root/keep");
    expect(await refused("host.io", "cp", source(), "flat:/root/keep")).toContain(
      "where a directory should be",
    );
    expect(
      await refused("host.io", "cp", `${source()}/file`, `${source()}/link`, "flat:/root/keep"),
    ).toContain("keep");
    expect(await inside("flat", "cat /root/keep")).toBe("keep");
  });

  test("words that make no sense say what would", async () => {
    await refused("usage.bad-argument", "cp", "a", "b");
    await refused("usage.bad-argument", "cp", "-", "still:/root");
    await refused("usage.bad-argument", "cp", "a", "still:/x", "--mode", "9");
    await refused("container.not-found", "cp", "a", "nobody:/x");
    expect(await refused("host.io", "cp", `${host}/none`, "still:/root/")).toContain("none");
    expect(await refused("host.io", "cp", `${host}/mine`, "still:/none/")).toContain("still:/none");
    const { stdout } = await world.berth("__complete", "zsh", "cp", "st");
    expect(stdout).toBe("still:/\tcontainer\n:files\n");
  });
});
