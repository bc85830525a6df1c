/** Suspending and resuming guests with what they are doing. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { containerPaths } from "../src/base/paths.ts";
import { findCriu } from "../src/checkpoint/program.ts";
import { type Info, newWorld, run, until, type World } from "./support/world.ts";

const criu = await findCriu();
const why = "fault" in criu ? `SKIP: ${criu.fault}: ` : "";
const checked = test.skipIf(why !== "");

let world: World;
beforeAll(async () => {
  if (why === "") world = await newWorld("busybox", "debian-12", "debian-13");
});
afterAll(async () => {
  if (why === "") await world.end();
});
const info = (name: string) => world.json<Info>("info", name);

/** A service that sends a count to whoever connects, and a timer that appends to a file. */
const counter = `[Service]
ExecStart=/usr/bin/perl -MIO::Socket::INET -e '$$s = IO::Socket::INET->new(Listen => 5, LocalPort => 7000, ReuseAddr => 1); while ($$c = $$s->accept) { $$c->autoflush(1); for ($$n = 0; print $$c "$$n\\\\n"; $$n++) { select undef, undef, undef, 0.05 } }'
`;
const ticking = `printf '%s' '[Service]
Type=oneshot
ExecStart=/bin/sh -c "date +%%s >> /var/log/tick"
' > /etc/systemd/system/tick.service
printf '%s' '[Timer]
OnActiveSec=1
OnUnitActiveSec=1
AccuracySec=50ms
' > /etc/systemd/system/tick.timer`;

/** The host's id of whoever owns the user namespace of a process (ioctl NS_GET_OWNER_UID). */
async function ownerOf(pid: number | null): Promise<number> {
  const program = 'open F, "<", shift; $b = pack "L"; ioctl(F, 0xb704, $b) or die $!; print unpack "L", $b';
  return Number((await run(["perl", "-e", program, `/proc/${pid}/ns/user`])).stdout);
}

/** Reads the count and checks that nothing is missing or doubled. */
async function follow(address: string) {
  let [next, text, fault] = [0, "", ""];
  const socket = await Bun.connect({
    hostname: address,
    port: 7000,
    socket: {
      data: (_, data) => {
        const lines = (text + data.toString()).split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) if (Number(line) !== next++) fault ||= `${line} instead of ${next - 1}`;
      },
      close: () => {
        fault ||= "closed";
      },
      error: (_, error) => {
        fault ||= error.message;
      },
    },
  });
  return { count: () => next, fault: () => fault, end: () => socket.end() };
}

describe.each(["debian-13", "debian-12"])("%s", (name) => {
  checked(`${why}goes on three times with its connection, timers and uptime`, async () => {
    await world.ok("create", name, "-t", name, "--start");
    await world.booted(name);
    const { code } = await world.berth("exec", name, "--", "perl", "-MIO::Socket::INET", "-e", "1");
    expect(code).toBe(0);
    await Bun.write(`${world.root}/counter`, counter);
    await world.sh(
      name,
      `cat > /etc/systemd/system/counter.service <<'E'\n${counter}\nE\n${ticking}\nsystemctl daemon-reload; systemctl start counter.service tick.timer`,
    );
    await until(
      "the first tick",
      async () => (await world.sh(name, "cat /var/log/tick || true")) !== "",
      20_000,
    );
    const { address, pid } = await info(name);
    const owner = await ownerOf(pid);
    const stream = await follow(address);
    const uptimes: number[] = [];
    for (let cycle = 0; cycle < 3; cycle++) {
      await until("the stream", () => stream.count() > 5 && stream.fault() === "", 20_000);
      uptimes.push(Number((await world.sh(name, "cat /proc/uptime")).split(" ")[0]));
      await world.ok("suspend", name);
      expect((await info(name)).state).toBe("suspended");
      const before = stream.count();
      await Bun.sleep(700);
      await world.ok("resume", name);
      await until("the stream to go on", () => stream.count() > before + 5 || stream.fault() !== "", 20_000);
      expect(stream.fault()).toBe("");
      expect(await ownerOf((await info(name)).pid)).toBe(owner);
      // Nobody touches the guest: its timer must tick by itself.
      const { pid } = await info(name);
      const ticks = () => readFileSync(`/proc/${pid}/root/var/log/tick`, "utf8").split("\n").length;
      const had = ticks();
      await until("the timer to tick by itself", () => ticks() > had + 1, 10_000);
    }
    stream.end();
    expect(uptimes.toSorted((a, b) => a - b)).toEqual(uptimes);
    expect(await world.sh(name, "systemctl is-system-running")).toBe("running");
    expect(existsSync(containerPaths(name, world.at).checkpoint)).toBe(false);
  });
});

checked(`${why}what cannot be written is refused by name, and goes on`, async () => {
  const held = Bun.spawn(
    [process.env.BERTH_BIN ?? `${import.meta.dir}/../dist/berth`, "exec", "debian-13", "sleep", "60"],
    {
      env: world.env,
      stdout: "ignore",
      stderr: "ignore",
    },
  );
  await until("the session", async () => (await world.berth("checkable", "debian-13")).code === 5, 10_000);
  const refused = await world.berth("suspend", "debian-13");
  expect([refused.code, refused.stderr]).toEqual([
    5,
    expect.stringMatching(/process \d+ \(sleep.*berth exec/),
  ]);
  held.kill();
  await held.exited;
  await until(
    "the session's end",
    async () => (await world.berth("checkable", "debian-13")).code === 0,
    10_000,
  );
  expect((await info("debian-13")).state).toBe("running");
});

checked(`${why}a suspended container keeps its disk to itself, and starts fresh when told`, async () => {
  await world.ok("suspend", "debian-13");
  expect((await world.berth("snapshot", "create", "debian-13", "s1")).stderr).toContain("is suspended");
  expect((await world.berth("exec", "debian-13", "true")).code).not.toBe(0);
  await world.ok("start", "--fresh", "debian-13");
  await world.booted("debian-13");
  expect(await world.sh("debian-13", "cut -d. -f1 /proc/uptime")).not.toBe("");
});

/** Kills berth with everything it started, as an out-of-memory kill of the lot would. */
async function killed(milliseconds: number, ...args: readonly string[]): Promise<void> {
  const child = Bun.spawn([process.env.BERTH_BIN ?? `${import.meta.dir}/../dist/berth`, ...args], {
    env: world.env,
    stdout: "ignore",
    stderr: "ignore",
  });
  await Bun.sleep(milliseconds);
  child.kill(9);
  await child.exited;
}

checked(`${why}killed at any point, a suspend or resume is undone or done`, async () => {
  const name = "debian-12";
  for (const after of [150, 400, 700]) {
    await killed(after, "suspend", name);
    const { state } = await info(name);
    if (state === "suspended") await world.ok("resume", name);
    else expect(state).toBe("running");
    expect(await world.sh(name, "echo alive")).toBe("alive");
  }
  for (const after of [150, 500, 900]) {
    await world.ok("suspend", name);
    await killed(after, "resume", name);
    await until("the lock", async () => (await world.berth("info", name)).code === 0, 20_000);
    if ((await info(name)).state === "suspended") await world.ok("resume", name);
    expect(await world.sh(name, "echo alive")).toBe("alive");
  }
});
