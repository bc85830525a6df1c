/** Live migration between two hosts, which here are two network namespaces on one LAN: a connection does not notice. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { findCriu } from "../src/checkpoint/program.ts";
import { randomFrom } from "./support/soak.ts";
import { berthBinary, type Info, newWorldBy, run, until, type World } from "./support/world.ts";

const criu = await findCriu();
const why = "fault" in criu ? `SKIP: ${criu.fault}: ` : "";
const checked = test.skipIf(why !== "");

const SUBNET = "10.251.7";
const inNetns = resolve(import.meta.dir, "support/in-netns.sh");
const netnsOf = (side: "a" | "b" | "lan"): string => `t-live-${side}-${process.pid}`;

let a: World;
let b: World;

const ip = async (...words: readonly string[]): Promise<void> => {
  const { code, stderr } = await run(["ip", ...words]);
  if (code !== 0) throw new Error(`ip ${words.join(" ")}: ${stderr}`);
};

/** A host on the LAN: berth's bridge is there already, and has a link to it. */
async function host(side: "a" | "b"): Promise<World> {
  const netns = netnsOf(side);
  await ip("netns", "add", netns);
  const world = await newWorldBy([inNetns, netns], "debian-13");
  const { bridge, etc } = world.at;
  mkdirSync(etc, { recursive: true });
  writeFileSync(`${etc}/berth.yaml`, `network: {subnet: ${SUBNET}.0/24}\n`);
  await ip("-n", netns, "link", "set", "lo", "up");
  await ip("-n", netns, "link", "add", bridge, "type", "bridge");
  await ip("-n", netns, "addr", "add", `${SUBNET}.1/24`, "dev", bridge);
  await ip("-n", netns, "link", "set", bridge, "up");
  await ip("-n", netns, "link", "add", "up0", "type", "veth", "peer", "name", side, "netns", netnsOf("lan"));
  await ip("-n", netns, "link", "set", "dev", "up0", "master", bridge, "up");
  await ip("-n", netnsOf("lan"), "link", "set", "dev", side, "master", "lan", "up");
  return world;
}

beforeAll(async () => {
  if (why !== "") return;
  const lan = netnsOf("lan");
  await ip("netns", "add", lan);
  await ip("-n", lan, "link", "add", "lan", "type", "bridge");
  await ip("-n", lan, "addr", "add", `${SUBNET}.200/24`, "dev", "lan");
  await ip("-n", lan, "link", "set", "lan", "up");
  a = await host("a");
  b = await host("b");
  await a.ok("create", "web1", "-t", "debian-13", "--start");
  await a.booted("web1");
  await a.sh(
    "web1",
    `systemd-run --expand-environment=no --unit counter perl -MIO::Socket::INET -e '${counter}'`,
  );
}, 60_000);
afterAll(async () => {
  if (why !== "") return;
  await a.end();
  await b.end();
  for (const side of ["a", "b", "lan"] as const) await run(["ip", "netns", "del", netnsOf(side)]);
}, 30_000);

/** Sends a count to whoever connects. */
const counter = `$s = IO::Socket::INET->new(Listen => 5, LocalPort => 7000, ReuseAddr => 1);
while ($c = $s->accept) { $c->autoflush(1); for ($n = 0; print $c "$n\\n"; $n++) { select undef, undef, undef, 0.02 } }`;

/** Prints how far the count has come; says so when anything is missing or doubled, and ends. */
const follower = `$| = 1; $s = IO::Socket::INET->new(PeerAddr => shift, PeerPort => 7000) or die "no connection";
for ($n = 0; <$s>; print "$n\\n") { chomp; $_ == $n++ or last } print "fault\\n"`;

async function follow(address: string) {
  const child = Bun.spawn([inNetns, netnsOf("lan"), "perl", "-MIO::Socket::INET", "-e", follower, address], {
    stdout: "pipe",
    stderr: "inherit",
  });
  let last = "0";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) last = decoder.decode(chunk).trimEnd().split("\n").at(-1) ?? last;
  })();
  const goesOn = async (): Promise<void> => {
    const from = last;
    await until("the stream to go on", () => last === "fault" || Number(last) > Number(from) + 10, 30_000);
    expect(last).not.toBe("fault");
  };
  const end = async (): Promise<void> => {
    child.kill();
    await reading;
  };
  return { goesOn, end };
}

/** How the other side is reached; its pid is noted. */
function wayTo(world: World, side: "a" | "b"): string {
  const file = `${world.root}/rsh`;
  const berth = `exec env BERTH_ROOT=${world.root} ${inNetns} ${netnsOf(side)} ${berthBinary} "$@"`;
  writeFileSync(file, `#!/bin/sh\necho $$ > ${world.root}/receiver\n${berth}\n`);
  chmodSync(file, 0o755);
  return file;
}

const info = async (world: World): Promise<Info> => await world.json<Info>("info", "web1");
const names = async (world: World): Promise<string> => await world.ok("ls", "--names");

checked(
  `${why}a bridge of a smaller MTU there is told before anything moves`,
  async () => {
    const setMtu = async (mtu: string) =>
      await ip("-n", netnsOf("b"), "link", "set", b.at.bridge, "mtu", mtu);
    await setMtu("1400");
    const { code, stderr } = await a.berth("migrate", "web1", "hostb", "--rsh", wayTo(b, "b"), "--dry-run");
    await setMtu("1500");
    expect(code).toBe(5);
    expect(stderr).toContain("hostb: the MTU of that host's bridge is 1400, here it is 1500");
    expect(stderr).toContain("`berth set web1 --mtu 1400`");
  },
  30_000,
);

checked(
  `${why}a guest goes there and back with its processes, its uptime and its connection`,
  async () => {
    const { address } = await info(a);
    const stream = await follow(address);
    await stream.goesOn();
    const boot = await a.sh("web1", "cat /proc/sys/kernel/random/boot_id; systemctl show -P MainPID counter");
    await a.ok("migrate", "web1", "hostb", "--rsh", wayTo(b, "b"));
    await stream.goesOn();
    expect([await names(a), await names(b)]).toEqual(["", "web1"]);
    expect(await b.sh("web1", "cat /proc/sys/kernel/random/boot_id; systemctl show -P MainPID counter")).toBe(
      boot,
    );
    await b.ok("migrate", "web1", "hosta", "--rsh", wayTo(a, "a"));
    await stream.goesOn();
    expect([await names(a), await names(b)]).toEqual(["web1", ""]);
    expect(await a.sh("web1", "systemctl is-system-running")).toBe("running");
    await stream.end();
  },
  90_000,
);

checked(
  `${why}when the other side is killed while it brings the guest back, it goes on here`,
  async () => {
    const { address, pid } = await info(a);
    const stream = await follow(address);
    await stream.goesOn();
    const going = Bun.spawn(
      [inNetns, netnsOf("a"), berthBinary, "migrate", "web1", "hostb", "--rsh", wayTo(b, "b")],
      { env: a.env, stdout: "ignore", stderr: "pipe" },
    );
    let said = "";
    for await (const chunk of going.stderr) {
      said += new TextDecoder().decode(chunk);
      if (said.includes("bringing it back there"))
        await run(["/bin/sh", "-c", `kill -9 $(cat ${b.root}/receiver)`]);
    }
    expect([await going.exited, said]).toEqual([expect.any(Number), expect.stringContaining("was cut")]);
    expect(await going.exited).not.toBe(0);
    await stream.goesOn();
    expect(await info(a)).toMatchObject({ state: "running", pid });
    await until("nothing to be left there", async () => (await names(b)) === "", 10_000);
    await stream.end();
  },
  60_000,
);

/** Rounds of the next test; more of them are a soak. */
const kills = Number(process.env.BERTH_LIVE_KILLS ?? 2);
const seed = Number(process.env.BERTH_LIVE_SEED ?? Date.now() % 1e6);

/** A migration to b that is broken off after so long. Says what was done. */
async function brokenOff(random: (below: number) => number, longest: number): Promise<string> {
  const ways = ["Ctrl-C", "source killed", "destination killed"] as const;
  const way = ways[random(ways.length)] ?? "Ctrl-C";
  const after = random(longest);
  writeFileSync(`${b.root}/receiver`, "");
  const going = Bun.spawn(
    [inNetns, netnsOf("a"), berthBinary, "migrate", "web1", "hostb", "--rsh", wayTo(b, "b")],
    { env: a.env, stdio: ["ignore", "ignore", "ignore"] },
  );
  await Promise.race([going.exited, Bun.sleep(after)]);
  const receiver = readFileSync(`${b.root}/receiver`, "utf8").trim();
  if (way === "destination killed" && receiver !== "") await run(["kill", "-9", receiver]);
  if (way !== "destination killed") going.kill(way === "Ctrl-C" ? "SIGINT" : "SIGKILL");
  await going.exited;
  return `${way} after ${after} ms`;
}

/** As an operator would: the source knows, or asks. What waits at the destination then hears of it. Gives who has it. */
async function settled(history: string): Promise<World> {
  if ((await names(a)) !== "" && (await a.berth("info", "web1")).code !== 0)
    await a.ok("migrate", "web1", "--resolve");
  const here = (await names(a)) !== "";
  if (here) {
    await until(
      "the destination to end",
      async () =>
        (await b.berth("migrate", "web1", "--resolve", "--is", "there")).code === 0 ||
        (await names(b)) === "",
      20_000,
    );
    if ((await info(a)).state === "suspended") await a.ok("resume", "web1");
  }
  expect({ history, a: await names(a), b: await names(b) }).toEqual({
    history,
    a: here ? "web1" : "",
    b: here ? "" : "web1",
  });
  const world = here ? a : b;
  expect({ history, state: (await info(world)).state }).toEqual({ history, state: "running" });
  return world;
}

checked(
  `${why}Ctrl-C, and kill -9 of either side, at any moment leave one guest with its processes and its connection`,
  async () => {
    const random = randomFrom(seed);
    const stream = await follow((await info(a)).address);
    const pid = "systemctl show -P MainPID counter";
    const before = await a.sh("web1", pid);
    const started = performance.now();
    await a.ok("migrate", "web1", "hostb", "--rsh", wayTo(b, "b"));
    const longest = Math.round((performance.now() - started) * 1.1);
    await b.ok("migrate", "web1", "hosta", "--rsh", wayTo(a, "a"));
    for (let round = 0; round < kills; round++) {
      const history = `round ${round} of seed ${seed}: ${await brokenOff(random, longest)}`;
      if (process.env.BERTH_LIVE_KILLS !== undefined) process.stderr.write(`${history}\n`);
      const world = await settled(history);
      await stream.goesOn();
      expect({ history, pid: await world.sh("web1", pid) }).toEqual({ history, pid: before });
      if (world === b) await b.ok("migrate", "web1", "hosta", "--rsh", wayTo(a, "a"));
    }
    await stream.end();
  },
  60_000 + kills * 30_000,
);
