/**
 * Live migration between two hosts with kernels of their own, over ssh and a LAN: a connection from a third place does
 * not notice, and whatever breaks on the way leaves the guest where it was.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Host, lab, type Pair } from "../lab.ts";
import { whyNotOnDebian13 } from "./asked.ts";
import {
  bridgeToLan,
  inGuest,
  json,
  limitsOf,
  makeGuest,
  minutes,
  move,
  mustBeEmpty,
  mustGoOn,
  pairOnLan,
  SUBNET,
} from "./lan-pair.ts";

const why = whyNotOnDebian13;
const checked = test.skipIf(why !== "");

/** Sends a count to whoever connects. */
const counter = `use IO::Socket::INET; $s = IO::Socket::INET->new(Listen => 5, LocalPort => 7000, ReuseAddr => 1);
while ($c = $s->accept) { $c->autoflush(1); for ($n = 0; print $c "$n\\n"; $n++) { select undef, undef, undef, 0.05 } }
`;

/** Prints how far the count has come and the longest that it stood still (clock_gettime is call 228); says so when anything is missing or doubled, and ends. */
const follower = `use IO::Socket::INET; $| = 1;
sub now { my $b = "\\0" x 16; syscall 228, 1, $b; my ($s, $n) = unpack "qq", $b; $s + $n / 1e9 }
$s = IO::Socket::INET->new(PeerAddr => shift, PeerPort => 7000) or die "no connection"; $t = now;
for ($n = 0; <$s>; ) { chomp; $_ == $n++ or last; $d = now() - $t; $most = $d if $d > $most; printf "%d %.1f\\n", $n, $most; $t = now }
print "fault 0\\n";
`;

let pair: Pair;
let h1: Host;
let h2: Host;

beforeAll(async () => {
  if (why !== "") return;
  pair = await pairOnLan("debian-13");
  ({ h1, h2 } = pair);
  await h1.run("cat > /root/follower.pl", { stdin: follower });
  await makeGuest(h1, "-t debian-13 --memory 400M --cpus 1.5 --pids 500");
  await h1.run(["berth", "exec", "web1", "--", "sh", "-c", "cat > /root/counter.pl"], { stdin: counter });
  await inGuest(
    h1,
    "systemd-run -q --unit counter perl /root/counter.pl; systemd-run -q --unit tick --on-active=1 --on-unit-active=4 --timer-property=AccuracySec=100ms sh -c 'echo x >> /run/ticks'",
  );
}, 10 * minutes);
afterAll(() => lab.close());

/** A connection from the third place to the guest. */
async function follow(address: string) {
  await h1.run(
    `systemctl reset-failed; systemctl stop follow 2> /dev/null; : > /root/follow.log; systemd-run -q --unit follow -p StandardOutput=truncate:/root/follow.log ip netns exec third perl /root/follower.pl ${address}`,
  );
  const look = async (): Promise<{ readonly count: string; readonly stall: number }> => {
    const [count = "0", stall = "0"] = (await h1.run("tail -n 1 /root/follow.log")).stdout.trim().split(" ");
    return { count, stall: Number(stall) };
  };
  const goesOn = async (): Promise<number> => {
    const from = (await look()).count;
    for (const end = Date.now() + 2 * minutes; Date.now() < end; await Bun.sleep(500)) {
      const { count, stall } = await look();
      expect(count).not.toBe("fault");
      if (Number(count) > Number(from) + 10) return stall;
    }
    throw new Error(`the stream stands still at ${from}`);
  };
  await goesOn();
  return goesOn;
}

/** What must be the same on the other side: the process that holds the connection, when it began, and what it is called. */
const same = (host: Host): Promise<string> =>
  inGuest(
    host,
    "systemctl show -P MainPID counter; systemctl show -P ExecMainStartTimestampMonotonic counter; cat /etc/machine-id; ip -o link show eth0 | grep -o 'ether [^ ]*'",
  );

/** It is well there: systemd content, timers tick, limits bind, its profile confines it. */
async function mustBeWell(host: Host): Promise<void> {
  await mustGoOn(host);
  const { pid, uuid } = await json<{ pid: number; uuid: string }>(host, "info web1");
  expect(await limitsOf(host)).toEqual([String(400 * 2 ** 20), "150000 100000", "500"]);
  const { stdout } = await host.run("cat /sys/fs/cgroup/berth.slice/web1/guest/cgroup.subtree_control");
  expect(stdout.trim()).toBe("memory pids");
  expect((await host.run(`cat /proc/${pid}/attr/apparmor/current`)).stdout.trim()).toBe(
    `berth-${uuid} (enforce)`,
  );
  const { layers } = await json<{ layers: readonly { layer: string; verdict: string }[] }>(
    host,
    "info web1 --security",
  );
  const { stdout: mac } = await host.run("cat /sys/class/net/berth0/address");
  expect(await inGuest(host, `ping -c 1 -W 20 ${SUBNET}.1 > /dev/null; ip neigh show ${SUBNET}.1`)).toContain(
    mac.trim(),
  );
  expect(layers.filter(({ verdict }) => verdict === "missing")).toEqual([]);
  expect(layers.find(({ layer }) => layer === "AppArmor")?.verdict).toBe("present");
}

/** Begins to move it from h1 to h2 and does something once a stage is shown; gives exit code and words. */
async function moveUntil(stage: string, then: () => Promise<void>): Promise<[code: number, said: string]> {
  let said = "";
  const reached = Promise.withResolvers<void>();
  const going = h1.open("berth migrate web1 root@h2", undefined, (data) => {
    said += Buffer.from(data).toString();
    if (said.includes(stage)) reached.resolve();
  });
  const exited = going.exited.finally(reached.resolve);
  await reached.promise;
  await then();
  return [await exited, said];
}

describe("two hosts", () => {
  checked(
    `${why}a guest goes there and back with its processes, limits, profile and connection`,
    async () => {
      const { address } = await json<{ address: string }>(h1, "info web1");
      const goesOn = await follow(address);
      const before = await same(h1);
      for (const [from, to] of [
        [h1, h2],
        [h2, h1],
      ] as const) {
        const stages = await move(from, to);
        const stall = await goesOn();
        process.stderr.write(
          `  ${from.name} to ${to.name}: ${stages}; the stream stood still for ${stall} s\n`,
        );
        await mustBeEmpty(from);
        expect(await same(to)).toBe(before);
        await mustBeWell(to);
      }
    },
    10 * minutes,
  );

  checked(
    `${why}when the LAN is cut while it is copied, it goes on, and the other side gives up by itself`,
    async () => {
      const { address, pid } = await json<{ address: string; pid: number }>(h1, "info web1");
      const goesOn = await follow(address);
      const before = await same(h1);
      const [code, said] = await moveUntil("sending its files", () => pair.lan.cut());
      expect({ code, said }).toEqual({
        code: 1,
        said: expect.stringContaining("the line to root@h2 was cut"),
      });
      await goesOn();
      expect(await json<{ pid: number }>(h1, "info web1")).toMatchObject({ state: "running", pid });
      expect(await same(h1)).toBe(before);
      await h2.run(`while pgrep -f '[m]igrate-receive'; do sleep 1; done`, { timeout: 2 * minutes });
      await mustBeEmpty(h2);
      await pair.lan.restore();
      await h1.run("ping -c 1 -W 20 h2");
    },
    6 * minutes,
  );

  checked(
    `${why}when the other host loses power while it brings the guest back, it goes on`,
    async () => {
      const { address, pid } = await json<{ address: string; pid: number }>(h1, "info web1");
      const goesOn = await follow(address);
      const before = await same(h1);
      const [code, said] = await moveUntil("bringing it back there", () => h2.powerOff());
      expect({ code, said }).toEqual({
        code: 1,
        said: expect.stringContaining("the line to root@h2 was cut"),
      });
      await goesOn();
      expect(await json<{ pid: number }>(h1, "info web1")).toMatchObject({ state: "running", pid });
      expect(await same(h1)).toBe(before);
      await mustBeWell(h1);
      await h2.powerOn();
      await h2.run(bridgeToLan(h2.address));
      // It waits for a word of a source that could not reach it: a person gives it.
      const refused = await h1.run("berth migrate web1 root@h2 --dry-run", { allow: true });
      expect(refused.stderr).toContain("`berth migrate --resolve web1 --is there` removes it");
      await h2.run("berth migrate --resolve web1 --is there");
      await mustBeEmpty(h2);
      await move(h1, h2);
      await goesOn();
      expect(await same(h2)).toBe(before);
      await mustBeWell(h2);
    },
    10 * minutes,
  );
});
