/** The network part of a launch plan, and the files that tell the guest about it. Pure. */
import { sha256 } from "../base/digest.ts";
import { readIfExists } from "../base/files.ts";
import type { ContainerConfig } from "../config/schema.ts";
import type { PlanRecord } from "../kernel/plan.ts";

/** High, so that it never meets an ifindex of a host's (a collision breaks restoring a checkpoint). */
const GUEST_IFINDEX = 100_001;

/** Interface names end at 15 bytes (IFNAMSIZ). */
const NAME_MAX = 15;

/** The host side's name, from the container's: shortened with a hash where it does not fit. */
export function hostLink(prefix: string, name: string): string {
  const plain = `${prefix}-${name}`;
  if (plain.length <= NAME_MAX) return plain;
  const hash = sha256(name).slice(0, 4);
  return `${prefix}-${name.slice(0, NAME_MAX - prefix.length - 5)}${hash}`;
}

export type NetworkFacts = {
  readonly name: string;
  readonly mac: string;
  /** With prefix length. */
  readonly address: string;
  readonly gateway: string;
  readonly bridge: string;
  readonly linkPrefix: string;
};

/** Links, addresses and routes; loopback alone for mode `none`. */
export function networkRecords(config: ContainerConfig["network"], facts: NetworkFacts): PlanRecord[] {
  if (config.mode === "none") return [["linkUp", "lo"]];
  const hostMac = `fe${facts.mac.slice(2)}`;
  return [
    ["linkUp", "lo"],
    [
      "veth",
      hostLink(facts.linkPrefix, facts.name),
      "eth0",
      GUEST_IFINDEX,
      facts.mac,
      hostMac,
      config.mtu ?? "",
      facts.bridge,
    ],
    ["address", "eth0", facts.address],
    ["linkUp", "eth0"],
    ["route", "eth0", facts.gateway, "default"],
  ];
}

/** The same without a bridge for the host's side: it stays down, and nobody hears the guest. */
export const withoutBridge = (records: readonly PlanRecord[]): PlanRecord[] =>
  records.map((record) => {
    const [op, ...words] = record;
    return op === "veth" ? [op, ...words.slice(0, -1), ""] : record;
  });

/** /etc/hosts with the guest's own names. */
export function hostsFile(hostname: string, address: string | undefined): string {
  const short = hostname.split(".")[0] ?? hostname;
  const names = short === hostname ? hostname : `${hostname} ${short}`;
  const own = address === undefined ? `127.0.1.1 ${names}` : `${address.split("/")[0]} ${names}`;
  return `127.0.0.1 localhost\n${own}\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n`;
}

export function resolvConf(servers: readonly string[], search: readonly string[]): string {
  const lines = servers.map((server) => `nameserver ${server}`);
  if (search.length > 0) lines.unshift(`search ${search.join(" ")}`);
  return `${lines.join("\n")}\n`;
}

/** Name servers of a resolv.conf that a guest can reach too: not the host's loopback. */
export function reachableServers(resolv: string): string[] {
  return resolv
    .split("\n")
    .map((line) => /^nameserver\s+(\S+)/.exec(line)?.[1])
    .filter((server) => server !== undefined)
    .filter((server) => !/^(127\.|::1$|fe80:)/.test(server))
    .slice(0, 3);
}

/** Where hostServers() looks. */
export const serverFiles = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] as const;

/** The host's name servers; where a local stub answers (systemd-resolved), those behind it. */
export function hostServers(): string[] {
  const [own, behind] = serverFiles;
  const servers = reachableServers(readIfExists(own) ?? "");
  return servers.length > 0 ? servers : reachableServers(readIfExists(behind) ?? "");
}
