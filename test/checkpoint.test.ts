/** Suspending and resuming guests with what they are doing. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { containerPaths } from "../src/base/paths.ts";
import { findCriu } from "../src/checkpoint/program.ts";
import { counter, follow } from "./support/counter.ts";
import { killedAfter } from "./support/soak.ts";
import { berthBinary, type Info, newWorld, run, until, type World } from "./support/world.ts";

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

describe.each(["debian-13", "debian-12"])("%s", (name) => {
  checked(`${why}goes on three times with its connection, timers and uptime`, async () => {
    await world.ok("create", name, "-t", name, "--start");
    await world.booted(name);
    const { code } = await world.berth("exec", name, "--", "perl", "-MIO::Socket::INET", "-e", "1");
    expect(code).toBe(0);
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

/** Gives a sign of life each half second. */
const alive = `while (1) { IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET})->send("WATCHDOG=1"); select undef, undef, undef, 0.5 }`;

checked(`${why}systemd still hears the signs of life of its services, and kills none`, async () => {
  await world.sh(
    "debian-13",
    `systemd-run -q --unit alive -p WatchdogSec=6 -p NotifyAccess=main --expand-environment=no perl -MIO::Socket::UNIX -e '${alive}'`,
  );
  await world.ok("suspend", "debian-13");
  await world.ok("resume", "debian-13");
  await Bun.sleep(8000);
  expect(await world.sh("debian-13", "systemctl show -P Result alive; systemctl is-active alive")).toBe(
    "success\nactive",
  );
  await world.sh("debian-13", "systemctl stop alive");
});

checked(`${why}what cannot be written is refused by name, and goes on`, async () => {
  const held = Bun.spawn([berthBinary, "exec", "debian-13", "sleep", "60"], {
    env: world.env,
    stdout: "ignore",
    stderr: "ignore",
  });
  await until("the session", async () => (await world.berth("checkable", "debian-13")).code === 5, 10_000);
  const refused = await world.berth("suspend", "debian-13");
  expect([refused.code, refused.stderr]).toEqual([
    5,
    expect.stringMatching(/process \d+ \(sleep.*berth exec/),
  ]);
  held.kill();
  await held.exited;
  await world.sh("debian-13", "exec 3<&0; sleep 61 >/dev/null 2>&1 & echo $! > /run/left");
  const left = await world.berth("checkable", "debian-13");
  expect([left.code, left.stdout]).toEqual([
    5,
    expect.stringMatching(/sleep .*(file of the host|began outside)/),
  ]);
  await world.sh("debian-13", "kill $(cat /run/left)");
  await until(
    "the session's end",
    async () => (await world.berth("checkable", "debian-13")).code === 0,
    10_000,
  );
  expect((await info("debian-13")).state).toBe("running");
});

checked(`${why}sessions are ended when told, and their users are`, async () => {
  await world.sh("debian-13", "systemctl stop tick.timer; systemctl reset-failed");
  const sessions = [
    ["sleep", "60"],
    ["sh", "-c", "trap '' HUP; sleep 60; :"],
  ].map((words) => run([berthBinary, "exec", "debian-13", "--", ...words], { env: world.env }));
  await until("the sessions", async () => (await world.berth("checkable", "debian-13")).code === 5, 10_000);
  await Bun.sleep(300);
  await world.ok("suspend", "debian-13", "--end-sessions");
  for (const { code, stderr } of await Promise.all(sessions)) {
    expect(code).toBeGreaterThan(128);
    expect(stderr).toContain("this session could not be, and was ended");
  }
  await world.ok("resume", "debian-13");
  expect(await world.sh("debian-13", "systemctl --failed --plain --no-legend")).toBe("");
});

checked(`${why}what fails before CRIU is asked is told, and the container stays suspended`, async () => {
  const { uuid } = await world.json<Info>("info", "debian-13");
  await world.ok("suspend", "debian-13");
  const [volume = ""] = [
    ...new Bun.Glob(`pool/*/${uuid}*`).scanSync({ cwd: world.at.lib, onlyFiles: false }),
  ];
  renameSync(`${world.at.lib}/${volume}`, `${world.at.lib}/elsewhere`);
  const failed = await world.berth("resume", "debian-13");
  expect(failed.code).not.toBe(0);
  expect(failed.stderr).not.toContain("says nothing");
  expect(failed.stderr).toContain("did not come back");
  renameSync(`${world.at.lib}/elsewhere`, `${world.at.lib}/${volume}`);
  await world.ok("resume", "debian-13");
});

checked(`${why}a suspended container keeps its disk to itself, and starts fresh when told`, async () => {
  await world.ok("suspend", "debian-13");
  expect((await world.berth("snapshot", "create", "debian-13", "s1")).stderr).toContain("is suspended");
  expect((await world.berth("exec", "debian-13", "true")).code).not.toBe(0);
  await world.ok("start", "--fresh", "debian-13");
  await world.booted("debian-13");
  expect(await world.sh("debian-13", "cut -d. -f1 /proc/uptime")).not.toBe("");
});

checked(`${why}killed at any point, a suspend or resume is undone or done`, async () => {
  const name = "debian-12";
  for (const after of [150, 400, 700]) {
    await killedAfter(world, ["suspend", name], after);
    const { state } = await info(name);
    if (state === "suspended") await world.ok("resume", name);
    else expect(state).toBe("running");
    expect(await world.sh(name, "echo alive")).toBe("alive");
  }
  for (const after of [150, 500, 900]) {
    await world.ok("suspend", name);
    await killedAfter(world, ["resume", name], after);
    await until("the lock", async () => (await world.berth("info", name)).code === 0, 20_000);
    if ((await info(name)).state === "suspended") await world.ok("resume", name);
    expect(await world.sh(name, "echo alive")).toBe("alive");
  }
});
