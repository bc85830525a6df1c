/** Migration between two hosts, which here are two instances of berth: never two that have a container, never none. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { killedAfter, randomFrom } from "./support/soak.ts";
import {
  berthBinary,
  type Info,
  leftovers,
  newWorld,
  type Result,
  run,
  type World,
} from "./support/world.ts";

let a: World;
let b: World;
beforeAll(async () => {
  a = await newWorld("busybox");
  b = await newWorld();
  mkdirSync(b.at.etc, { recursive: true });
});
afterAll(async () => {
  await a.end();
  await b.end();
});
afterEach(async () => {
  for (const world of [a, b]) {
    for (const name of await namesOf(world)) await world.berth("migrate", name, "--resolve", "--is", "there");
    await world.ok("rm", "--force", "--all");
  }
});

const bun = process.execPath;
const cutLine = resolve(import.meta.dir, "support/cut-line.ts");

/** How the other side is reached: its berth, with its pid in a file. */
function wayTo(world: World): string {
  const file = `${world.root}/rsh`;
  writeFileSync(
    file,
    `#!/bin/sh\necho $$ > ${world.root}/receiver\nexec env BERTH_ROOT=${world.root} ${berthBinary} "$@"\n`,
  );
  chmodSync(file, 0o755);
  return file;
}

const cutAt = (type: string, when: "before" | "after", world: World): string =>
  `${bun} ${cutLine} ${type} ${when} ${wayTo(world)}`;

const migrate = async (from: World, to: World, ...words: readonly string[]): Promise<Result> =>
  await from.berth("migrate", ...words, "hostb", "--rsh", wayTo(to));

const moved = async (from: World, to: World, ...words: readonly string[]): Promise<void> =>
  void (await from.ok("migrate", ...words, "hostb", "--rsh", wayTo(to)));

const namesOf = async (world: World): Promise<readonly string[]> =>
  (await world.ok("ls", "--names")).split("\n").filter(Boolean);

const create = async (name: string, storage = "image", ...more: readonly string[]): Promise<void> =>
  void (await a.ok(
    ...["create", name, "-t", "busybox", "--storage", storage, "--disk", "64M", "--network", "none"],
    ...more,
  ));

/** Everything that a guest has written, as it sees it. */
const written = async (world: World, name: string): Promise<string> =>
  await world.sh(
    name,
    "cd / && find srv etc/keep usr/share | sort | while read f; do stat -c '%n %f %u %g %s %h %Y' $f; done; cat srv/a/file srv/hard; readlink srv/link",
  );

const changeMuch = async (world: World, name: string): Promise<string> =>
  await world.sh(
    name,
    `mkdir -p /srv/a && echo one > /srv/a/file && ln /srv/a/file /srv/hard && ln -s a/file /srv/link && mkfifo /srv/fifo
     rm -rf /usr/share && mkdir /usr/share && echo two > /etc/keep && chmod 4755 /srv/hard && chown 1000:65535 /srv/link
     dd if=/dev/zero of=/srv/hole bs=1 count=1 seek=1M 2>/dev/null; touch -d @1234567 /srv/hole; sync`,
  );

test("a container moves there and back with all it has, running if it ran, between drivers, and its template comes along", async () => {
  await create("web1", "image", "--memory", "64M");
  await a.ok("start", "web1");
  await changeMuch(a, "web1");
  const before = await written(a, "web1");
  const { uuid } = await a.json<Info>("info", "web1");
  await moved(a, b, "web1", "--storage", "plain", "--offline");
  expect(await namesOf(a)).toEqual([]);
  expect(await b.json<Info>("info", "web1")).toMatchObject({ state: "running", uuid });
  expect(await written(b, "web1")).toBe(before);
  expect(await b.ok("config", "show", "web1")).toContain("64M");
  expect(await b.ok("template", "ls", "--json")).toContain("busybox");
  await moved(b, a, "web1", "--storage", "image", "--offline");
  expect(await written(a, "web1")).toBe(before);
  expect(leftovers(b.at)).toEqual([]);
  expect(readdirSync(`${b.at.lib}/leases/arrived`)).toEqual([]);
}, 30_000);

test("layers of snapshots come along, snapshots do not; a kept container stays, stopped", async () => {
  await create("web1");
  await a.ok("start", "web1");
  await changeMuch(a, "web1");
  await a.ok("stop", "--kill", "web1");
  await a.ok("snapshot", "create", "web1", "s1");
  await a.ok("start", "web1");
  await a.sh("web1", "echo later >> /srv/a/file; rm /srv/fifo");
  const before = await written(a, "web1");
  await a.ok("stop", "--kill", "web1");
  const refused = await migrate(a, b, "web1");
  expect(refused).toMatchObject({ code: 5 });
  expect(refused.stderr).toContain("has snapshots, which do not move: s1");
  await moved(a, b, "web1", "--keep", "--name", "web2");
  expect(await a.json<Info>("info", "web1")).toMatchObject({ state: "stopped" });
  await b.ok("start", "web2");
  expect(await written(b, "web2")).toBe(before);
  const back = await migrate(b, a, "web2");
  expect(back.stderr).toContain("it is there already, as web1");
}, 30_000);

test("a host is evacuated at once or, when one cannot move, not at all", async () => {
  for (const name of ["web1", "web2", "web3"]) await create(name);
  await a.ok("start", "web1");
  await a.sh("web1", "echo kept > /srv/file");
  await a.ok("snapshot", "create", "web3", "s1");
  const evacuate = (...words: readonly string[]): Promise<Result> =>
    a.berth("evacuate", "--to", "hostb", "--rsh", wayTo(b), "--offline", ...words);
  const refused = await evacuate("--all");
  expect(refused).toMatchObject({ code: 5, stdout: "" });
  expect(refused.stderr).toContain("1 of 3 cannot move to hostb: web3; none was moved");
  expect(refused.stderr).toContain("has snapshots, which do not move: s1");
  expect([await namesOf(a), await namesOf(b)]).toEqual([["web1", "web2", "web3"], []]);
  const looked = await evacuate("--all", "--dry-run");
  expect([looked.code, looked.stdout.trim().split("\n").sort()]).toEqual([
    5,
    ["web1: can move to hostb", "web2: can move to hostb"],
  ]);
  await a.ok("snapshot", "rm", "web3", "s1");
  const moved = await evacuate("--all", "--bwlimit", "50M", "--json");
  expect(moved).toMatchObject({ code: 0 });
  expect(JSON.parse(moved.stdout)).toMatchObject(
    ["web1", "web2", "web3"].map((name) => ({ name, ok: true, result: { host: "hostb", standStill: null } })),
  );
  expect([await namesOf(a), await namesOf(b)]).toEqual([[], ["web1", "web2", "web3"]]);
  expect(await b.sh("web1", "cat /srv/file")).toBe("kept");
}, 40_000);

test("all that stands in the way is told at once, on either side, and nothing has changed", async () => {
  mkdirSync(`${a.root}/data`, { recursive: true });
  await create("web1", "image", "--mount", `${a.root}/data:/data`);
  await b.ok("create", "web1", "-t", "busybox", "--network", "none").catch(async () => {
    await b.ok("template", "build", "busybox");
    await b.ok("create", "web1", "-t", "busybox", "--network", "none");
  });
  const { code, stderr } = await migrate(a, b, "web1", "--dry-run");
  expect(code).toBe(5);
  expect(stderr).toContain(`web1 mounts ${a.root}/data of this host at /data`);
  expect(stderr).toContain("berth set web1 --unmount /data");
  expect(stderr).toContain("hostb: there is a container web1 already");
  const other = await a.berth("migrate", "web1", "hostb", "--rsh", "/bin/echo");
  expect(other).toMatchObject({ code: 1 });
  expect(other.stderr).toContain("does not answer as berth does");
  const none = await a.berth("migrate", "web1", "hostb", "--rsh", "/bin/false");
  expect(none.stderr).toContain("the line to hostb was cut");
  expect((await a.berth("migrate", "web1", "-oProxyCommand=x")).code).toBe(2);
  expect((await a.berth("migrate", "web1", "h", "--is", "here")).code).toBe(2);
  expect((await a.berth("migrate", "web1", "--resolve")).stderr).toContain("no migration of web1 was cut");
});

/** Settles what was cut; gives the world that has the container, which must be one alone and have all of it. */
async function settled(history: string): Promise<World> {
  const [before] = [await namesOf(a), await namesOf(b)];
  if (before.includes("web1") && (await a.berth("info", "web1")).code !== 0)
    await a.ok("migrate", "web1", "--resolve");
  const here = (await namesOf(a)).includes("web1");
  // The source has said that it has it: what waits there for a word is settled as a person would.
  if (here) await b.berth("migrate", "web1", "--resolve", "--is", "there");
  const there = (await namesOf(b)).includes("web1");
  expect({ history, here, there }).toEqual({ history, here, there: !here });
  const world = here ? a : b;
  expect({ history, word: await world.ok("cp", "web1:/srv/word", "-") }).toEqual({ history, word: "kept" });
  return world;
}

async function prepared(): Promise<void> {
  await create("web1");
  await a.ok("start", "web1");
  await a.sh(
    "web1",
    "echo kept > /srv/word; dd if=/dev/urandom of=/srv/bulk bs=1M count=8 2>/dev/null; sync",
  );
  await a.ok("stop", "--kill", "web1");
}

/** For the next round. */
const backAtA = async (world: World): Promise<void> => {
  if (world === b) await moved(b, a, "web1");
};

const CUTS = [
  ["begin", "before"],
  ["upper", "after"],
  ["prepare", "before"],
  ["prepare", "after"],
  ["commit", "before"],
  ["commit", "after"],
  ["forget", "before"],
] as const;

/** From the question on it is asked again, by itself. */
const isSwitch = (type: string): boolean => type === "commit" || type === "forget";

test("a line cut at any message leaves exactly one side with the container", async () => {
  await prepared();
  for (const [type, when] of CUTS) {
    const history = `cut ${when} ${type}`;
    const { code } = await a.berth("migrate", "web1", "hostb", "--rsh", cutAt(type, when, b));
    expect({ history, failed: code !== 0 }).toEqual({ history, failed: !isSwitch(type) });
    const world = await settled(history);
    expect({ history, side: world === b }).toEqual({ history, side: isSwitch(type) });
    await backAtA(world);
  }
}, 60_000);

/** A way that is cut at the switch and cannot be gone a second time. */
function wayThatIsLost(world: World, when: "before" | "after"): string {
  const file = `${world.root}/lost`;
  const used = `${file}.used`;
  rmSync(used, { force: true });
  writeFileSync(
    file,
    `#!/bin/sh\n[ -e ${used} ] && exit 255\ntouch ${used}\nexec ${cutAt("commit", when, world)} "$@"\n`,
  );
  chmodSync(file, 0o755);
  return file;
}

const undecided = { code: 5, stderr: expect.stringContaining("stands still") };

test("while it is not known whose it is neither side lets it run; --resolve asks, or a person decides", async () => {
  for (const when of ["before", "after"] as const) {
    await prepared();
    expect(await a.berth("migrate", "web1", "hostb", "--rsh", wayThatIsLost(b, when))).toMatchObject(
      undecided,
    );
    for (const words of [["start"], ["rm", "--force"], ["info"], ["migrate", "--resolve"]])
      expect(await a.berth(...words, "web1")).toMatchObject(undecided);
    if (when === "before")
      for (const words of [["start"], ["rm", "--force"], ["migrate", "--resolve"]])
        expect(await b.berth(...words, "web1")).toMatchObject(undecided);
    else
      expect(await b.sh("web1", "cat /srv/word").catch(async () => await b.ok("start", "web1"))).toContain(
        "",
      );
    expect((await a.ok("ls", "--names")).split("\n")).toEqual(["web1"]);
    if (when === "before") {
      await a.ok("migrate", "web1", "--resolve", "--is", "here");
      await b.ok("migrate", "web1", "--resolve", "--is", "there");
      expect([await namesOf(a), await namesOf(b)]).toEqual([["web1"], []]);
    } else {
      rmSync(`${b.root}/lost.used`);
      writeFileSync(`${b.root}/lost`, readFileSync(wayTo(b), "utf8"));
      expect(await a.ok("migrate", "web1", "--resolve")).toContain("is on the other host now");
      expect([await namesOf(a), await namesOf(b)]).toEqual([[], ["web1"]]);
    }
    for (const world of [a, b]) await world.ok("rm", "--force", "--all");
  }
}, 60_000);

test("kill -9 of either side at any point leaves exactly one side with the container", async () => {
  const random = randomFrom(7);
  await prepared();
  for (let round = 0; round < Number(process.env.BERTH_KILLS ?? 4); round += 1) {
    const after = random(500);
    const side = round % 2 === 0 ? "source" : "destination";
    const history = `${side} killed after ${after} ms`;
    rmSync(`${b.root}/receiver`, { force: true });
    if (side === "source") await killedAfter(a, ["migrate", "web1", "hostb", "--rsh", wayTo(b)], after);
    else {
      const going = migrate(a, b, "web1");
      await Bun.sleep(after);
      await run(["/bin/sh", "-c", `kill -9 $(cat ${b.root}/receiver) 2>/dev/null`]);
      await going;
    }
    const world = await settled(history);
    await backAtA(world);
  }
}, 60_000);
