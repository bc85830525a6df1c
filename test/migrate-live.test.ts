/** Live migration between two hosts, which here are two network namespaces on one LAN: a connection does not notice. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { preCopyFault } from "../src/checkpoint/pre-copy.ts";
import { findCriu } from "../src/checkpoint/program.ts";
import { randomFrom } from "./support/soak.ts";
import { followStream, type Stream, streamServer } from "./support/stream.ts";
import { type TwoHosts, twoHosts } from "./support/two-hosts.ts";
import { berthBinary, type Info, run, until, type World } from "./support/world.ts";

const criu = await findCriu();
const why = "fault" in criu ? `SKIP: ${criu.fault}: ` : "";
const checked = test.skipIf(why !== "");

/** What a migration says of the memory, when a guest's is worth passes over it. */
const unable = await preCopyFault();
const ofItsMemory =
  unable === undefined ? "sending its memory, pass 1" : `its memory is sent while it stands still: ${unable}`;

let hosts: TwoHosts;
let a: World;
let b: World;

beforeAll(async () => {
  if (why !== "") return;
  hosts = await twoHosts("live", "debian-13");
  a = hosts.a.world;
  b = hosts.b.world;
  await a.ok("create", "web1", "-t", "debian-13", "--start");
  await a.booted("web1");
  await a.sh(
    "web1",
    `systemd-run --expand-environment=no --unit counter perl -MIO::Socket::INET -e '${streamServer}'`,
  );
}, 60_000);
afterAll(async () => {
  if (why !== "") return;
  await hosts.end();
}, 30_000);

const follow = async (address: string): Promise<Stream> => await followStream(hosts.onLan, address);

const info = async (world: World): Promise<Info> => await world.json<Info>("info", "web1");
const names = async (world: World): Promise<string> => await world.ok("ls", "--names");

checked(
  `${why}a bridge of a smaller MTU there is told before anything moves`,
  async () => {
    const setMtu = async (mtu: string): Promise<void> =>
      void (await run([...hosts.b.within, "ip", "link", "set", b.at.bridge, "mtu", mtu]));
    await setMtu("1400");
    const { code, stderr } = await a.berth("migrate", "web1", "hostb", "--rsh", hosts.b.way, "--dry-run");
    await setMtu("1500");
    expect(code).toBe(5);
    expect(stderr).toContain("hostb: the MTU of that host's bridge is 1400, here it is 1500");
    expect(stderr).toContain("`berth set web1 --mtu 1400`");
  },
  30_000,
);

checked(
  `${why}one that is suspended stays: what it was doing would be lost on the way`,
  async () => {
    await a.ok("suspend", "web1");
    const { code, stderr } = await a.berth("migrate", "web1", "hostb", "--rsh", hosts.b.way);
    expect([code, stderr]).toEqual([5, expect.stringContaining("berth resume web1")]);
    await a.ok("resume", "web1");
    expect(await names(b)).toBe("");
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
    const moved = await a.berth("migrate", "web1", "hostb", "--rsh", hosts.b.way, "--max-downtime", "1ms");
    expect([moved.code, moved.stderr]).toEqual([0, expect.stringContaining(ofItsMemory)]);
    await stream.goesOn();
    expect([await names(a), await names(b)]).toEqual(["", "web1"]);
    expect(await b.sh("web1", "cat /proc/sys/kernel/random/boot_id; systemctl show -P MainPID counter")).toBe(
      boot,
    );
    await b.ok("migrate", "web1", "hosta", "--rsh", hosts.a.way);
    await stream.goesOn();
    expect([await names(a), await names(b)]).toEqual(["web1", ""]);
    expect(await a.sh("web1", "systemctl is-system-running")).toBe("running");
    await stream.end();
  },
  90_000,
);

/** Counts datagrams; "?" is answered by how many different ones have come, and how many at all. */
const catcher = `$s = IO::Socket::INET->new(Proto => "udp", LocalPort => 7001);
while (1) { $peer = $s->recv($b, 64); if ($b eq "?") { $s->send(keys(%seen) . " $all") } else { $all++; $seen{$b} = 1 } }`;

/** One each 20 ms until its input ends; then how many it has sent, and the answer to "?". */
const thrower = `$s = IO::Socket::INET->new(Proto => "udp", PeerAddr => shift, PeerPort => 7001);
while (1) { $s->send($n++); $in = ""; vec($in, 0, 1) = 1; last if select $in, undef, undef, 0.02 }
select undef, undef, undef, 0.3; $s->send("?"); $s->recv($b, 64); print "$n $b"`;

checked(
  `${why}what comes for a guest that stands still reaches it where it goes on, once`,
  async () => {
    await a.sh(
      "web1",
      `systemd-run --expand-environment=no --unit catcher perl -MIO::Socket::INET -e '${catcher}'`,
    );
    const { address } = await info(a);
    await until("the catcher", async () => (await a.sh("web1", "ss -Hlun sport = 7001")) !== "", 10_000);
    const throwing = Bun.spawn([...hosts.onLan, "perl", "-MIO::Socket::INET", "-e", thrower, address], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    const moved = await a.json<{ readonly standStill: number }>(
      ...["migrate", "web1", "hostb", "--rsh", hosts.b.way],
    );
    throwing.stdin.end();
    const [sent = 0, came = 0, all = 0] = (await new Response(throwing.stdout).text()).split(" ").map(Number);
    expect(all).toBe(came);
    expect(came).toBeLessThanOrEqual(sent);
    // Those between the end of one link and the beginning of the other are lost.
    expect(sent - came).toBeLessThan(moved.standStill / 20 / 2);
    await b.sh("web1", "systemctl stop catcher");
    await b.ok("migrate", "web1", "hosta", "--rsh", hosts.a.way);
  },
  60_000,
);

checked(
  `${why}a command of exec stands in the way until it may be ended; the look alone does not end it`,
  async () => {
    const session = run([berthBinary, "exec", "web1", "--", "sh", "-c", "sleep 60; :"], { env: a.env });
    const migrate = (...options: readonly string[]) =>
      a.berth("migrate", "web1", "hostb", "--rsh", hosts.b.way, ...options);
    await until("the session", async () => (await a.berth("checkable", "web1")).code === 5, 10_000);
    const { code, stderr } = await migrate();
    expect([code, stderr]).toEqual([5, expect.stringContaining("or say --end-sessions")]);
    expect((await migrate("--dry-run", "--end-sessions")).code).toBe(0);
    expect((await a.berth("checkable", "web1")).code).toBe(5);
    expect(await migrate("--end-sessions")).toMatchObject({ code: 0 });
    const ended = await session;
    expect(ended.code).toBeGreaterThan(128);
    expect(ended.stderr).toContain("this session could not be, and was ended");
    await b.ok("migrate", "web1", "hosta", "--rsh", hosts.a.way);
    expect(await a.sh("web1", "systemctl is-active counter")).toBe("active");
  },
  60_000,
);

checked(
  `${why}when the other side is killed while it brings the guest back, it goes on here`,
  async () => {
    const { address, pid } = await info(a);
    const stream = await follow(address);
    await stream.goesOn();
    const going = Bun.spawn(
      [...hosts.a.within, berthBinary, "migrate", "web1", "hostb", "--rsh", hosts.b.way],
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

checked(
  `${why}a guest that would stand still for longer than it may goes on here`,
  async () => {
    const { address, pid } = await info(a);
    const stream = await follow(address);
    await stream.goesOn();
    const { code, stderr } = await a.berth(
      ...["migrate", "web1", "hostb", "--rsh", hosts.b.way, "--timeout", "100ms"],
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining("longer than 0.1 s, and goes on here")]);
    await stream.goesOn();
    expect(await info(a)).toMatchObject({ state: "running", pid });
    expect(await names(b)).toBe("");
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
    [...hosts.a.within, berthBinary, "migrate", "web1", "hostb", "--rsh", hosts.b.way],
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
    await a.ok("migrate", "web1", "hostb", "--rsh", hosts.b.way);
    const longest = Math.round((performance.now() - started) * 1.1);
    await b.ok("migrate", "web1", "hosta", "--rsh", hosts.a.way);
    for (let round = 0; round < kills; round++) {
      const history = `round ${round} of seed ${seed}: ${await brokenOff(random, longest)}`;
      if (process.env.BERTH_LIVE_KILLS !== undefined) process.stderr.write(`${history}\n`);
      const world = await settled(history);
      await stream.goesOn();
      expect({ history, pid: await world.sh("web1", pid) }).toEqual({ history, pid: before });
      if (world === b) await b.ok("migrate", "web1", "hosta", "--rsh", hosts.a.way);
    }
    await stream.end();
  },
  60_000 + kills * 30_000,
);
