/**
 * Live migration between two hosts with kernels of their own, over ssh and a LAN: a connection from a third place does
 * not notice, and whatever breaks on the way leaves the guest where it was.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { needTemplates, templateCache } from "../../test/support/world.ts";
import { type Host, lab, type Pair } from "../lab.ts";
import { berthPayload, giveBerth } from "../payload.ts";

const memory = 2048;
const minutes = 60_000;
const kinds = process.env.BERTH_LAB_KINDS?.split(",") ?? ["debian-13"];
const why =
  process.env.BERTH_LAB_CI !== undefined
    ? "SKIP: CI has no time for it: "
    : kinds.includes("debian-13")
      ? ""
      : "SKIP: debian-13 is not in BERTH_LAB_KINDS: ";
const checked = test.skipIf(why !== "");

/** Both bridges are one network, each host with an address of its own in it. */
const SUBNET = "10.251.7";

/** The host's place on the LAN becomes a port of berth's bridge, and its address the bridge's: docs/network.md. */
const bridgeToLan = (address: string): string => `set -e
mkdir -p /etc/berth; echo 'network: {subnet: ${SUBNET}.0/24}' > /etc/berth/berth.yaml
ip link add berth0 type bridge
ip address add ${SUBNET}.1/24 dev berth0
ip address flush dev eth1
ip address add ${address}/24 dev berth0
ip link set eth1 master berth0
ip link set berth0 up
nft -f - <<'END'
table bridge berth-lan {
  chain forward { type filter hook forward priority 0; oifname "eth1" arp daddr ip ${SUBNET}.1 drop; }
  chain output { type filter hook output priority 0; oifname "eth1" arp saddr ip ${SUBNET}.1 drop; }
}
END`;

/** A netns of the host as a third place on the LAN. */
const thirdPlace = `set -e
ip netns add third; ip link add third0 type veth peer name eth0 netns third; ip link set third0 master berth0 up
ip -n third address add ${SUBNET}.200/24 dev eth0; ip -n third link set eth0 up; ip -n third link set lo up`;

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
  await needTemplates("busybox", "debian-12", "debian-13");
  const payload = await berthPayload(templateCache);
  await lab.prepare("debian-13", memory);
  pair = await lab.pair({ kind: "debian-13", payload, memory });
  ({ h1, h2 } = pair);
  await Promise.all([h1, h2].map(giveBerth));
  await Promise.all([h1, h2].map((host) => host.run(bridgeToLan(host.address))));
  await h1.run(thirdPlace);
  await h1.run("cat > /root/follower.pl", { stdin: follower });
  await h1.run("berth create web1 -t debian-13 --memory 400M --cpus 1.5 --pids 500 --start", {
    timeout: 2 * minutes,
  });
  await h1.run(
    "until berth exec web1 -- test -S /run/dbus/system_bus_socket; do sleep 0.3; done; berth exec web1 -- systemctl is-system-running --wait",
    { timeout: 4 * minutes },
  );
  await h1.run(["berth", "exec", "web1", "--", "sh", "-c", "cat > /root/counter.pl"], { stdin: counter });
  await inGuest(
    h1,
    "systemd-run -q --unit counter perl /root/counter.pl; systemd-run -q --unit tick --on-active=1 --on-unit-active=4 --timer-property=AccuracySec=100ms sh -c 'echo x >> /run/ticks'",
  );
}, 10 * minutes);
afterAll(() => lab.close());

async function inGuest(host: Host, line: string): Promise<string> {
  return (await host.run(["berth", "exec", "web1", "--", "sh", "-c", line])).stdout.trim();
}

async function json<T>(host: Host, line: string): Promise<T> {
  return JSON.parse((await host.run(`berth ${line} --json`)).stdout) as T;
}

const names = async (host: Host): Promise<string> => (await host.run("berth ls --names")).stdout.trim();

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
  const health =
    "systemctl is-system-running --wait || { systemctl --failed --plain --no-legend; journalctl -p warning -n 20; }";
  expect(await inGuest(host, health)).toBe("running");
  const ticks = "wc -l < /run/ticks";
  const before = Number(await inGuest(host, ticks));
  // Each 4 s: a unit that is started more than 5 times in 10 s is refused by systemd.
  await host.run("sleep 12");
  expect(Number(await inGuest(host, ticks))).toBeGreaterThan(before);
  const { pid, uuid } = await json<{ pid: number; uuid: string }>(host, "info web1");
  const { stdout } = await host.run(
    "cd /sys/fs/cgroup/berth.slice/web1 && cat memory.max cpu.max pids.max guest/cgroup.subtree_control",
  );
  expect(stdout.trim().split("\n")).toEqual([String(400 * 2 ** 20), "150000 100000", "500", "memory pids"]);
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

/** Containers, volumes, leases, cgroups, mounts, loop devices, links and profiles of guests: none. */
async function mustBeEmpty(host: Host): Promise<void> {
  expect(await names(host)).toBe("");
  const { stdout } = await host.run(
    `cd /var/lib/berth && ls containers volumes leases/uid leases/ip pool/image 2> /dev/null | grep -v ':$'
     ls -d /sys/fs/cgroup/berth.slice/*/ | grep -v _keepers; grep /var/lib/berth/ /proc/mounts; losetup -n -O BACK-FILE
     ls /sys/class/net | grep ^bv-; grep ^berth- /sys/kernel/security/apparmor/profiles; true`,
  );
  expect(stdout.trim()).toBe("");
}

type Moved = { readonly stages: readonly { readonly stage: string; readonly milliseconds: number }[] };

async function move(from: Host, to: Host): Promise<string> {
  const { stdout } = await from.run(`berth migrate web1 root@${to.name} --json`, { timeout: 5 * minutes });
  const { stages } = JSON.parse(stdout) as Moved;
  return stages.map(({ stage, milliseconds }) => `${stage} ${(milliseconds / 1000).toFixed(1)} s`).join(", ");
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
