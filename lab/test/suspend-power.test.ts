/** Suspended guests and a host that loses power: booted cold, each goes on where it was. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { needTemplates, templateCache } from "../../test/support/world.ts";
import { type Host, lab } from "../lab.ts";
import { berthPayload, giveBerth } from "../payload.ts";
import { whyNotOnDebian13 } from "./asked.ts";

const memory = 2048;
const minutes = 60_000;
const why = whyNotOnDebian13;
const checked = test.skipIf(why !== "");

/** One for each way in which what a guest has written without a sync could be lost. */
const guests = { web1: "image", web2: "project", web3: "plain" } as const;
const limits = "--memory 256M --cpus 1.5 --pids 400";

/** Counts in memory, in a file that it keeps open and never syncs, and to whoever is connected. */
const counter = `use IO::Socket::INET; use IO::Handle;
$s = IO::Socket::INET->new(Listen => 5, LocalPort => 7000, ReuseAddr => 1, Blocking => 0);
open F, ">>", "/var/log/count"; F->autoflush(1);
for ($n = 0; ; $n++) {
  while ($c = $s->accept) { $c->autoflush(1); push @c, $c }
  print F "$n\\n"; print $_ "$n\\n" for @c; select undef, undef, undef, 0.1;
}
`;

/** Notes what the other guest says, and a fault when anything is missing or doubled. */
const follower = `use IO::Socket::INET; use IO::Handle; open F, ">>", "/var/log/follow"; F->autoflush(1);
$s = IO::Socket::INET->new(PeerAddr => shift, PeerPort => 7000) or die "no connection";
while (<$s>) { chomp; last if defined $n && $_ != $n + 1; $n = $_; print F "$n\\n" } print F "fault\\n";
`;

const ticks =
  "systemd-run -q --unit tick --on-active=1 --on-unit-active=4 --timer-property=AccuracySec=100ms sh -c 'echo x >> /run/ticks'";

let host: Host;

beforeAll(async () => {
  if (why !== "") return;
  await needTemplates("busybox", "debian-12", "debian-13");
  await lab.prepare("debian-13", memory);
  host = await lab.host("h1", { kind: "debian-13", payload: await berthPayload(templateCache), memory });
  await giveBerth(host);
  await host.run("berth pool create --driver project --size 512M", { timeout: 2 * minutes });
  for (const [name, storage] of Object.entries(guests)) {
    await host.run(`berth create ${name} -t debian-13 --storage ${storage} ${limits} --start`, {
      timeout: 2 * minutes,
    });
    await host.run(
      `until berth exec ${name} -- test -S /run/dbus/system_bus_socket; do sleep 0.3; done; berth exec ${name} -- systemctl is-system-running --wait`,
      { timeout: 4 * minutes },
    );
    await host.run(["berth", "exec", name, "--", "sh", "-c", "cat > /root/counter.pl"], { stdin: counter });
    await inGuest(name, `systemd-run -q --unit counter perl /root/counter.pl; ${ticks}`);
  }
  const { address } = await json<{ address: string }>("info web1");
  await host.run(["berth", "exec", "web2", "--", "sh", "-c", "cat > /root/follower.pl"], { stdin: follower });
  await inGuest("web2", `systemd-run -q --unit follow perl /root/follower.pl ${address}`);
}, 12 * minutes);
afterAll(() => lab.close());

async function inGuest(name: string, line: string): Promise<string> {
  return (await host.run(["berth", "exec", name, "--", "sh", "-c", line])).stdout.trim();
}

async function json<T>(line: string): Promise<T> {
  return JSON.parse((await host.run(`berth ${line} --json`)).stdout) as T;
}

const states = async (): Promise<readonly string[]> =>
  (await json<readonly { name: string; state: string }[]>("ls")).map(({ name, state }) => `${name} ${state}`);

/** What must be the same afterwards: the process, when it began by the guest's clock, and what systemd has of it. */
const same = (name: string): Promise<string> =>
  inGuest(name, "systemctl show -P MainPID -P ExecMainStartTimestampMonotonic counter; cat /etc/machine-id");

const uptime = async (name: string): Promise<number> =>
  Number.parseFloat(await inGuest(name, "cat /proc/uptime"));

/** How far the counter's file has come; every number is there once. */
async function counted(name: string): Promise<number> {
  const lines = await inGuest(name, "perl -ne '$_ == $. - 1 or die; END { print $. }' /var/log/count");
  return Number(lines);
}

/** Writes what nobody has synced; gives its checksum. */
const unsynced = (name: string): Promise<string> =>
  inGuest(name, "head -c 48M /dev/urandom > /root/unsynced; cksum < /root/unsynced");

async function mustBeWell(name: string): Promise<void> {
  const health =
    "systemctl is-system-running --wait || { systemctl --failed --plain --no-legend; journalctl -p warning -n 20; }";
  expect([name, await inGuest(name, health)]).toEqual([name, "running"]);
  const before = Number(await inGuest(name, "wc -l < /run/ticks"));
  await host.run("sleep 12");
  expect(Number(await inGuest(name, "wc -l < /run/ticks"))).toBeGreaterThan(before);
  const { pid, uuid } = await json<{ pid: number; uuid: string }>(`info ${name}`);
  const { stdout } = await host.run(
    `cd /sys/fs/cgroup/berth.slice/${name} && cat memory.max cpu.max pids.max; cat /proc/${pid}/attr/apparmor/current`,
  );
  expect(stdout.trim().split("\n")).toEqual([
    ...[String(256 * 2 ** 20), "150000 100000", "400"],
    `berth-${uuid} (enforce)`,
  ]);
}

checked(
  `${why}guests that were suspended when the power was cut go on after the boot: memory, files, timers, limits, and a connection between two`,
  async () => {
    const names = Object.keys(guests);
    const before = await Promise.all(names.map(same));
    const uptimes = await Promise.all(names.map(uptime));
    const counts = await Promise.all(names.map(counted));
    const sums = await Promise.all(names.map(unsynced));
    await host.run("berth suspend --all", { timeout: 4 * minutes });
    await host.powerOff();
    await host.powerOn();
    expect(await states()).toEqual(names.map((name) => `${name} suspended`));
    await host.run("berth resume --all", { timeout: 4 * minutes });
    expect(await states()).toEqual(names.map((name) => `${name} running`));
    for (const [index, name] of names.entries()) {
      await mustBeWell(name);
      expect([name, await same(name)]).toEqual([name, before[index] ?? ""]);
      expect(await uptime(name)).toBeGreaterThan(uptimes[index] ?? 0);
      expect(await counted(name)).toBeGreaterThan((counts[index] ?? 0) + 50);
      expect(await inGuest(name, "cksum < /root/unsynced")).toBe(sums[index] ?? "");
    }
    const follow = "tail -n 1 /var/log/follow";
    const heard = Number(await inGuest("web2", follow));
    expect(heard).toBeGreaterThan(counts[0] ?? 0);
    await host.run("sleep 5");
    expect(Number(await inGuest("web2", follow))).toBeGreaterThan(heard);
  },
  10 * minutes,
);

checked(
  `${why}a guest counts as suspended only once its disk lasts too: power cut in that moment`,
  async () => {
    const [name, before] = ["web3", await same("web3")];
    const sum = await unsynced(name);
    await host.run(
      `systemd-run -q berth suspend ${name}; until grep -Eq '"suspended": ?true' /var/lib/berth/containers/${name}/state.json; do sleep 0.02; done`,
      { timeout: 2 * minutes },
    );
    await host.powerOff();
    await host.powerOn();
    await host.run(`berth resume ${name}`, { timeout: 2 * minutes });
    expect(await same(name)).toBe(before);
    expect(await inGuest(name, "cksum < /root/unsynced")).toBe(sum);
    await counted(name);
  },
  6 * minutes,
);
