/** Bad input, each with an error of its own: exit code, what is wrong, what to do. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { containerPaths } from "../src/base/paths.ts";
import { berthBinary, newWorld, run, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld("busybox");
  await world.ok("create", "box", "-t", "busybox", "--network", "none");
});
afterAll(() => world.end());

type Case = {
  readonly what: string;
  readonly args: readonly string[];
  readonly code: number;
  readonly says: readonly (string | RegExp)[];
};

const cases: readonly Case[] = [
  {
    what: "unknown template",
    args: ["create", "x", "-t", "debain-13"],
    code: 3,
    says: ["there is no template debain-13"],
  },
  {
    what: "unknown template, near miss",
    args: ["create", "x", "-t", "busbox"],
    code: 3,
    says: ["did you mean busybox?"],
  },
  {
    what: "name taken",
    args: ["create", "box", "-t", "busybox"],
    code: 4,
    says: ["there is a container box already"],
  },
  {
    what: "bad name",
    args: ["create", "../etc", "-t", "busybox"],
    code: 2,
    says: ['"../etc" cannot be a container\'s name', "lower case letters"],
  },
  { what: "bad size", args: ["create", "x", "-t", "busybox", "--memory", "12Q"], code: 2, says: ["12Q"] },
  {
    what: "size that is too small",
    args: ["create", "x", "-t", "busybox", "--memory", "512"],
    code: 2,
    says: ['--memory: "512"', "did you mean 512M?"],
  },
  {
    what: "bad address",
    args: ["create", "x", "-t", "busybox", "--address", "10.1.2"],
    code: 2,
    says: ['--address: "10.1.2"', "such as 10.1.2.3"],
  },
  ...[
    { args: ["--memory", "1k"], says: ['--memory: "1k": it is too small; the least is 4M'] },
    { args: ["--disk", "1k:1G"], says: ['--disk: "1k": it is too small'] },
    { args: ["--hostname", "a b"], says: ['--hostname: "a b": it is not a host name'] },
    { args: ["--mount", "/srv:/data:ro,foo"], says: ['--mount: "ro,foo": there is no option foo'] },
    { args: ["--snapshot-every", "1m"], says: ["it must lie between 10m and 366d"] },
    { args: ["--env", "1X=y"], says: ['--env: "1X": it is not a variable'] },
    { args: ["--cpu-weight", "0"], says: ['--cpu-weight: "0": it must lie between 1 and 10000'] },
    {
      args: ["--seccomp-allow", "keyctl", "--seccomp-deny", "keyctl"],
      says: ["--seccomp-allow: a system call stands both in allow and in deny"],
    },
  ].map(({ args, says }) => ({
    what: `value that cannot be: ${args.join(" ")}`,
    args: ["set", "box", ...args],
    code: 2,
    says,
  })),
  {
    what: "address of another net",
    args: ["create", "x", "-t", "busybox", "--address", "192.0.2.77"],
    code: 1,
    says: ["is not in the bridge's subnet"],
  },
  {
    what: "no such container",
    args: ["start", "bxo"],
    code: 3,
    says: ['there is no container "bxo"', "did you mean box?"],
  },
  {
    what: "stopped when it must run",
    args: ["enter", "box"],
    code: 125,
    says: ["container box is stopped", "berth start box"],
  },
  { what: "stop of a stopped one", args: ["stop", "box"], code: 5, says: ["container box is stopped"] },
  { what: "thaw of a stopped one", args: ["thaw", "box"], code: 5, says: ["container box is stopped"] },
  { what: "unknown command", args: ["strat", "box"], code: 2, says: ["did you mean", "start"] },
  { what: "unknown option", args: ["start", "--al"], code: 2, says: ["--al"] },
  {
    what: "unknown setting",
    args: ["set", "box", "--unset", "memroy", "--memory", "64X"],
    code: 2,
    says: ["64X"],
  },
  { what: "nothing to set", args: ["set", "box"], code: 2, says: ["there is nothing to set"] },
  { what: "no name", args: ["start"], code: 2, says: ["name"] },
  { what: "fixed setting", args: ["set", "box", "--inodes", "5000"], code: 1, says: ["inodes"] },
  { what: "word of other programs", args: ["version"], code: 2, says: ["berth --version shows it"] },
  { what: "unknown command of a group", args: ["pool", "ls"], code: 2, says: ["say one of: create, info"] },
  { what: "unknown shell", args: ["completion", "tcsh"], code: 2, says: ["bash, zsh, fish"] },
  {
    what: "copy between containers",
    args: ["cp", "box:/etc", "box:/root"],
    code: 2,
    says: ["cp box:/etc DIR/"],
  },
  { what: "umount of what is not mounted", args: ["umount", "box"], code: 5, says: ["`berth ls` marks"] },
  { what: "unknown volume", args: ["volume", "info", "nosuch"], code: 3, says: ["`berth volume ls` shows"] },
  { what: "unknown distribution", args: ["template", "build", "debian-99"], code: 2, says: ["debian-99"] },
];

describe("bad input", () => {
  for (const { what, args, code, says } of cases) {
    test(what, async () => {
      const result = await world.berth(...args);
      expect(result.stderr).toStartWith("berth: ");
      for (const words of says)
        expect(result.stderr).toMatch(
          words instanceof RegExp ? words : new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")),
        );
      expect(result.code).toBe(code);
    });
  }
  test("nothing was created by any of them", async () => {
    expect(await world.ok("ls", "--names")).toBe("box");
  });
  test("errors are JSON when asked for", async () => {
    const { stderr, stdout, code } = await world.berth("info", "nope", "--json");
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "container.not-found" } });
    expect([stdout, code]).toEqual(["", 3]);
  });
});

describe("a corrupt config.yaml", () => {
  test("is named with line and column, hides no other container, and can be mended", async () => {
    const file = containerPaths("box", world.at).config;
    const good = readFileSync(file, "utf8");
    writeFileSync(file, "template: busybox\nmemory: [\n");
    const start = await world.berth("start", "box");
    expect(start.code).toBe(6);
    expect(start.stderr).toMatch(/config\.yaml:\d+:\d+/);
    const ls = await world.berth("ls");
    expect(ls.stdout).toMatch(/box\s+broken/);
    writeFileSync(file, good);
    await world.ok("start", "box");
    await world.ok("stop", "box");
  });
  test("an edit with a fault changes nothing and keeps the text", async () => {
    const before = await world.ok("config", "show", "box");
    const { code, stderr } = await run([berthBinary, "config", "edit", "box"], {
      env: { ...world.env, EDITOR: "sed -i s/template/tmplate/" },
    });
    expect(code).toBe(6);
    expect(stderr).toContain("did you mean template?");
    const kept = /kept in (\S+);/.exec(stderr)?.[1] ?? "";
    expect(readFileSync(kept, "utf8")).toContain("tmplate");
    await run(["rm", "-r", kept.slice(0, kept.lastIndexOf("/"))]);
    expect(await world.ok("config", "show", "box")).toBe(before);
  });
});

describe("the host lacks something", () => {
  test("not root", async () => {
    // The binary must be where an ordinary user can reach it.
    mkdirSync(`${world.root}/bin`);
    for (const part of ["", "-cli"]) copyFileSync(`${berthBinary}${part}`, `${world.root}/bin/berth${part}`);
    chmodSync(world.root, 0o755);
    const { code, stderr } = await run(
      [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        `${world.root}/bin/berth`,
        "start",
        "box",
      ],
      { env: { BERTH_ROOT: world.root } },
    );
    expect([code, stderr]).toEqual([8, "berth: this needs root\n  run it as root, or with sudo\n"]);
    chmodSync(world.root, 0o700);
  });
  test("a missing program is named with its package", async () => {
    const { code, stderr } = await run([`${world.root}/bin/berth`, "start", "box"], {
      env: { BERTH_ROOT: world.root },
    });
    expect(code).toBe(7);
    expect(stderr).toMatch(/berth-(launch|seccomp) is missing/);
  });
  test("a full disk", async () => {
    mkdirSync(`${world.root}/tiny`);
    const script = `mount -t tmpfs -o size=200k none ${world.root}/tiny && mkdir -p ${world.root}/tiny/var/lib && cp -r ${world.at.lib}/templates/names ${world.root}/tiny/ && ln -s ${world.at.lib}/templates ${world.root}/tiny/var/lib/templates && exec ${berthBinary} create full -t busybox --network none`;
    const { code, stderr } = await run(["unshare", "--mount", "sh", "-c", script], {
      env: { ...world.env, BERTH_ROOT: `${world.root}/tiny` },
    });
    expect(stderr).toContain("no space left");
    expect(code).toBe(9);
  });
  test("an init that is not there", async () => {
    await world.ok("create", "noinit", "-t", "busybox", "--init", "/no/such/init", "--network", "none");
    const { code, stderr } = await world.berth("start", "noinit");
    expect(code).toBe(1);
    expect(stderr).toContain("/no/such/init");
    expect(stderr).toContain("berth config show noinit");
    expect(await world.json<{ state: string }>("info", "noinit")).toMatchObject({ state: "stopped" });
  });
});

test("a failed start leaves nothing running", async () => {
  await world.ok("rm", "noinit");
  expect(existsSync(containerPaths("noinit", world.at).run)).toBe(false);
});

describe("what must never happen twice or by mistake", () => {
  test("a number means one container, whether it is a ctid or a name", async () => {
    await world.ok("create", "one", "-t", "busybox", "--network", "none", "--ctid", "777");
    const taken = async (...args: readonly string[]) => [
      (await world.berth(...args)).code,
      (await world.berth(...args)).stderr.includes("777 means container one already"),
    ];
    expect(await taken("create", "777", "-t", "busybox", "--network", "none")).toEqual([4, true]);
    expect(await taken("create", "two", "-t", "busybox", "--network", "none", "--ctid", "777")).toEqual([
      4,
      true,
    ]);
    expect(await taken("set", "box", "--ctid", "777")).toEqual([4, true]);
    expect(await world.ok("rm", "777")).toBe("one: removed");
  });
  test("a restart that could not start again stops nothing", async () => {
    await world.ok("create", "net1", "-t", "busybox", "--start");
    const { address } = await world.json<{ address: string }>("info", "net1");
    await world.ok("create", "net2", "-t", "busybox", "--start");
    const refused = await world.berth("set", "net2", "--address", address);
    expect([refused.code, refused.stderr.includes("taken by another container")]).toEqual([4, true]);
    const file = containerPaths("net2", world.at).config;
    const good = readFileSync(file, "utf8");
    writeFileSync(file, `${good}network: {address: ${address}}\n`);
    expect((await world.berth("restart", "net2")).code).toBe(4);
    expect(await world.json<{ state: string }>("info", "net2")).toMatchObject({ state: "running" });
    // Damaged settings keep nobody from looking in, stopping and removing.
    writeFileSync(file, "memory: [\n");
    expect((await world.berth("ls")).stdout).toContain("running (broken config)");
    expect(await world.sh("net2", "echo in")).toBe("in");
    await world.ok("stop", "--kill", "net2");
    await world.ok("rm", "net1", "net2", "--force");
  });
  test("an address that cannot work is refused", async () => {
    const refused = async (address: string) =>
      (await world.berth("create", "x", "-t", "busybox", "--address", address)).stderr;
    expect(await refused("192.0.2.7/24")).toContain("has no gateway");
    expect(await refused("192.0.2.7")).toContain("not in the bridge's subnet");
  });
  test("only settings that exist can be taken away", async () => {
    const { code, stderr } = await world.berth("set", "box", "--unset", "memry");
    expect([code, stderr.includes("did you mean memory?")]).toEqual([2, true]);
    await world.ok("set", "box", "--unset", "environment.NOPE");
  });
  test("who waited for a container that another command removed is told so", async () => {
    await world.ok("create", "gone", "-t", "busybox", "--network", "none");
    const since = performance.now();
    await world.ok("set", "gone", "--description", "here");
    // Long enough for five at once to come and wait, however slow the machine is.
    const seconds = 1 + (8 * (performance.now() - since)) / 1000;
    const holder = Bun.spawn(["flock", `${world.at.run}/.lock/gone`, "sleep", String(seconds)]);
    await Bun.sleep(300);
    const remove = world.berth("rm", "gone");
    await Bun.sleep(300);
    const losers = Array.from({ length: 4 }, () => world.berth("set", "gone", "--description", "x"));
    await holder.exited;
    expect((await remove).code).toBe(0);
    for (const { code, stderr } of await Promise.all(losers)) {
      if (code === 0) continue; // it came before the removal
      expect([code, stderr]).toEqual([3, expect.stringContaining("another command removed or renamed it")]);
    }
  });
  test("a clone that cannot be is refused before anything is copied", async () => {
    await world.ok("create", "running", "-t", "busybox", "--network", "none", "--ctid", "41", "--start");
    await world.sh("running", "echo much > /root/much");
    const refused = async (...args: readonly string[]): Promise<string> => {
      const { code, stderr } = await world.berth("clone", "running", ...args);
      expect(code).toBeGreaterThan(0);
      return stderr;
    };
    expect(await refused("box")).toStartWith("berth: there is a container box already");
    expect(await refused("other", "--ctid", "41")).toStartWith("berth: 41 means container running already");
    expect(await refused("other", "--network", "bridge", "--address", "192.0.2.7")).toStartWith(
      "berth: 192.0.2.7",
    );
    await world.ok("rm", "--force", "running");
  });
  test("a limit that the storage driver cannot keep is warned of", async () => {
    const warning = "flat has no disk limit: storage driver plain cannot keep one";
    const warned = async (...args: readonly string[]) => (await world.berth(...args)).stderr;
    expect(await warned("create", "flat", "-t", "busybox", "--network", "none", "--disk", "64M")).toBe("");
    expect(await warned("move", "flat", "plain")).toContain(warning);
    expect(await warned("set", "flat", "--disk", "32M")).toContain(warning);
    expect(await warned("set", "flat", "--disk", "none")).toBe("");
    expect(await warned("set", "flat", "--description", "flat")).toBe("");
    await world.ok("rm", "flat");
    const none = ["-t", "busybox", "--network", "none", "--storage", "plain", "--disk", "none"];
    expect(await warned("create", "flat", ...none)).toBe("");
    await world.ok("rm", "flat");
  });
  test("set takes several names, and a failure of one does not stop the others", async () => {
    await world.ok("create", "one", "-t", "busybox", "--network", "none");
    const { code, stdout } = await world.berth("set", "one", "nosuch", "--description", "both", "--json");
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject([
      { name: "one", ok: true, result: { atNextStart: [] } },
      { name: "nosuch", ok: false, error: { code: "container.not-found" } },
    ]);
    expect(await world.ok("config", "show", "one")).toContain("description: both");
    await world.ok("rm", "one");
  });
  test("a change of a disk's size that was cut short is written to the settings by the next command", async () => {
    const at = ["one", "-t", "busybox", "--network", "none", "--storage", "image", "--disk", "64M"];
    await world.ok("create", ...at);
    const file = `${world.at.lib}/containers/one/config.yaml`;
    // No file can take the place of one that is mounted on: as if the command had been killed before it wrote the settings.
    await run(["mount", "--bind", file, file]);
    const { code } = await world.berth("set", "one", "--disk", "96M");
    await run(["umount", file]);
    expect(code).toBeGreaterThan(0);
    const { limits } = await world.json<{ limits: { disk: number } }>("info", "one");
    expect(limits.disk).toBe(96 * 2 ** 20);
    expect(existsSync(containerPaths("one", world.at).intent)).toBe(false);
    await world.ok("rm", "one");
  });
  test("a program or a user that is not there is named", async () => {
    await world.ok("start", "box");
    expect(await world.berth("exec", "-u", "nosuch", "box", "true")).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/has no user "nosuch"\n.*a number does as well/),
    });
    expect(await world.berth("exec", "box", "nosuch")).toMatchObject({
      code: 127,
      stderr: expect.stringContaining("there is no such program"),
    });
    await world.ok("stop", "--kill", "box");
  });
});
