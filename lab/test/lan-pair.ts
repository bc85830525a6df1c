/** Two hosts whose guests are on one network, and a third place on it: what the tests of migration begin with. */
import { expect } from "bun:test";
import { needTemplates, templateCache } from "../../test/support/world.ts";
import { type Host, lab, type Pair } from "../lab.ts";
import { berthPayload, giveBerth } from "../payload.ts";

const memory = 2048;
export const minutes = 60_000;

/** Both bridges are one network, each host with an address of its own in it. */
export const SUBNET = "10.251.7";

/** The host's place on the LAN becomes a port of berth's bridge, and its address the bridge's: docs/network.md. */
export const bridgeToLan = (address: string): string => `set -e
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

/** A netns of the host as a third place on the LAN: /run/netns/third. */
const thirdPlace = `set -e
ip netns add third; ip link add third0 type veth peer name eth0 netns third; ip link set third0 master berth0 up
ip -n third address add ${SUBNET}.200/24 dev eth0; ip -n third link set eth0 up; ip -n third link set lo up`;

/** Makes them, with the templates; the third place is on h1. */
export async function pairOnLan(...templates: readonly string[]): Promise<Pair> {
  await needTemplates(...templates);
  const payload = await berthPayload(templateCache, templates);
  await lab.prepare("debian-13", memory);
  const pair = await lab.pair({ kind: "debian-13", payload, memory });
  const hosts = [pair.h1, pair.h2];
  await Promise.all(hosts.map(giveBerth));
  await Promise.all(hosts.map((host) => host.run(bridgeToLan(host.address))));
  await pair.h1.run(thirdPlace);
  return pair;
}

/** Runs a line of shell in the guest web1; gives its stdout, trimmed. */
export async function inGuest(host: Host, line: string): Promise<string> {
  return (await host.run(["berth", "exec", "web1", "--", "sh", "-c", line])).stdout.trim();
}

/** Makes the guest web1 and waits until it has booted. */
export async function makeGuest(host: Host, options: string): Promise<void> {
  await host.run(`berth create web1 ${options} --start`, { timeout: 2 * minutes });
  await host.run(
    "until berth exec web1 -- test -S /run/dbus/system_bus_socket; do sleep 0.3; done; berth exec web1 -- systemctl is-system-running --wait",
    { timeout: 6 * minutes },
  );
}

/** What a command of berth says with --json. */
export async function json<T>(host: Host, line: string): Promise<T> {
  return JSON.parse((await host.run(`berth ${line} --json`)).stdout) as T;
}

type Moved = { readonly stages: readonly { readonly stage: string; readonly milliseconds: number }[] };

/** Moves web1; gives what took how long. */
export async function move(from: Host, to: Host): Promise<string> {
  const { stdout } = await from.run(`berth migrate web1 root@${to.name} --json`, { timeout: 10 * minutes });
  const { stages } = JSON.parse(stdout) as Moved;
  return stages.map(({ stage, milliseconds }) => `${stage} ${(milliseconds / 1000).toFixed(1)} s`).join(", ");
}

/** Systemd is content, the timer that writes /run/ticks ticks, and a process of the guest's is under its profile. */
export async function mustGoOn(host: Host): Promise<void> {
  const health =
    "systemctl is-system-running --wait || { systemctl --failed --plain --no-legend; journalctl -p warning -n 20; }";
  expect(await inGuest(host, health)).toBe("running");
  const ticks = "wc -l < /run/ticks";
  const before = Number(await inGuest(host, ticks));
  // Each 4 s: a unit that is started more than 5 times in 10 s is refused by systemd.
  await host.run("sleep 12");
  expect(Number(await inGuest(host, ticks))).toBeGreaterThan(before);
}

/** What the kernel enforces of memory.max, cpu.max, pids.max. */
export async function limitsOf(host: Host): Promise<readonly string[]> {
  const { stdout } = await host.run("cd /sys/fs/cgroup/berth.slice/web1 && cat memory.max cpu.max pids.max");
  return stdout.trim().split("\n");
}

/** Containers, volumes, leases, cgroups, mounts, loop devices, links and profiles of guests: none. */
export async function mustBeEmpty(host: Host): Promise<void> {
  expect((await host.run("berth ls --names")).stdout.trim()).toBe("");
  const { stdout } = await host.run(
    `cd /var/lib/berth && ls containers volumes leases/uid leases/ip pool/image 2> /dev/null | grep -v ':$'
     ls -d /sys/fs/cgroup/berth.slice/*/ | grep -v _keepers; grep /var/lib/berth/ /proc/mounts; losetup -n -O BACK-FILE
     ls /sys/class/net | grep ^bv-; grep ^berth- /sys/kernel/security/apparmor/profiles; true`,
  );
  expect(stdout.trim()).toBe("");
}
