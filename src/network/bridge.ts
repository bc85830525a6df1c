/**
 * The host's side of the guests' network: a bridge with the gateway's address, forwarding on, and the NAT table.
 * Made on first need and checked by two cheap looks afterwards.
 */

import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { hashMac } from "../base/digest.ts";
import { BerthError } from "../base/errors.ts";
import { listIfExists, makeDirs, readIfExists, writeAtomic } from "../base/files.ts";
import { type Instance, instance } from "../base/paths.ts";
import type { HostConfig } from "../config/schema.ts";
import { waitForFileLock } from "../kernel/flock.ts";
import type { PlanRecord } from "../kernel/plan.ts";
import { runProgram } from "../kernel/run.ts";
import { formatSubnet, gatewayOf, network, overlap, parseSubnet, type Subnet, toText } from "./ipv4.ts";
import { loadTable, tableExists } from "./nft.ts";
import { hostRoutes, type Route } from "./routes.ts";

const PREFIX = 16;
const FORWARDING = "/proc/sys/net/ipv4/ip_forward";

/** The subnet berth would like: 10.62.0.0/16 for the host's own instance, one derived from the tag for others. */
function preferred(at: Instance): number {
  return at.tag === "" ? 62 : 64 + (Number.parseInt(at.tag.slice(0, 4), 16) % 160);
}

/** First free 10.N.0.0/16 from the preferred one on. Pure. */
export function chooseSubnet(first: number, routes: readonly Route[]): Subnet | undefined {
  for (let step = 0; step < 192; step++) {
    const subnet = network({
      address: 10 * 2 ** 24 + ((first - 62 + step) % 192) * 2 ** 16 + 62 * 2 ** 16,
      prefix: PREFIX,
    });
    if (!routes.some((route) => overlap(route, subnet))) return subnet;
  }
  return undefined;
}

/** Where the choice of a subnet is recorded. */
export const subnetFile = (at: Instance = instance): string => `${at.lib}/subnet`;

/** What makeMissing() would look for, as data: the bridge, forwarding, and the NAT table. */
export const networkChecks = (at: Instance = instance): readonly PlanRecord[] => [
  ["sameFile", `/sys/class/net/${at.bridge}`, "+"],
  ["sameText", FORWARDING, "1"],
  ["nftTable", at.nftTable],
];

/** The bridge's subnet: from the host's settings, else what was chosen before, else chosen now and recorded. */
export function subnetOf(config: HostConfig, at: Instance = instance): Subnet {
  if (config.network.subnet !== undefined) return parseSubnet(config.network.subnet);
  const record = subnetFile(at);
  const known = readIfExists(record)?.trim();
  if (known !== undefined) return parseSubnet(known);
  const chosen = chooseSubnet(
    preferred(at),
    hostRoutes().filter((route) => route.interface !== at.bridge),
  );
  if (chosen === undefined) {
    throw new BerthError(
      "network.no-address",
      "every subnet 10.62.0.0/16 to 10.253.0.0/16 is in use on this host",
      "name one in /etc/berth/berth.yaml: network: {subnet: ...}",
    );
  }
  makeDirs(at.lib);
  writeAtomic(record, `${formatSubnet(chosen)}\n`);
  return chosen;
}

/** Locally administered, and lower than any guest's so that a joining link never changes the bridge's. */
const macOfBridge = (bridge: string): string => hashMac(["02", "00"], bridge);

/** Whether berth made it: one that the operator made has another MAC. */
const isOurs = (bridge: string): boolean =>
  readIfExists(`/sys/class/net/${bridge}/address`)?.trim() === macOfBridge(bridge);

/** What `ip` and `nft` may take on a host under load. */
const PATIENCE_MS = 60_000;

/** Runs `work` while nobody else of the instance makes or removes the bridge and its table. */
async function withBridgeLock<T>(at: Instance, work: () => Promise<T>): Promise<T> {
  const dir = `${at.run}/.lock`;
  makeDirs(dir);
  const fd = openSync(dir, "r");
  try {
    if (!(await waitForFileLock(fd, PATIENCE_MS)))
      throw new BerthError(
        "network.failed",
        `another command has worked on bridge ${at.bridge} for ${PATIENCE_MS / 1000} s`,
        "look for a `berth` that hangs, and end it",
      );
    return await work();
  } finally {
    closeSync(fd);
  }
}

/** Makes what is missing of bridge, forwarding and NAT table, for a container that exists. */
export const ensureBridge = async (subnet: Subnet, at: Instance = instance): Promise<void> =>
  await withBridgeLock(at, async () => await makeMissing(subnet, at));

async function makeMissing(subnet: Subnet, at: Instance): Promise<void> {
  if (!existsSync(`/sys/class/net/${at.bridge}`)) await makeBridge(subnet, at);
  if (readFileSync(FORWARDING, "utf8").trim() !== "1") writeFileSync(FORWARDING, "1");
  if (!tableExists(at.nftTable)) await loadTable(at.nftTable, at.bridge, subnet);
}

async function makeBridge(subnet: Subnet, at: Instance): Promise<void> {
  const taken = hostRoutes().find((route) => overlap(route, subnet));
  if (taken !== undefined) {
    throw new BerthError(
      "network.failed",
      `the guests' subnet ${formatSubnet(subnet)} is in use on ${taken.interface} of this host`,
      `choose another in ${at.etc}/berth.yaml: network: {subnet: ...}, and give the containers addresses of it`,
    );
  }
  const commands = [
    `link add name ${at.bridge} address ${macOfBridge(at.bridge)} type bridge`,
    `addr add ${toText(gatewayOf(subnet))}/${subnet.prefix} dev ${at.bridge}`,
    `link set ${at.bridge} up`,
  ].join("\n");
  const { code, stderr } = await runProgram(["ip", "-batch", "-"], {
    package: "iproute2",
    input: `${commands}\n`,
  });
  // Another start may have made it in the same moment: what counts is that it is there.
  if (code !== 0 && !existsSync(`/sys/class/net/${at.bridge}`)) {
    throw new BerthError(
      "network.failed",
      `bridge ${at.bridge} cannot be made: ${stderr.trim()}`,
      "look whether the kernel has the bridge module",
    );
  }
}

/** Removes bridge and table, unless `needed`, asked while nobody makes them: who will is there before he asks for them. */
export const removeBridge = async (
  at: Instance = instance,
  needed: () => boolean = () => false,
): Promise<void> => await withBridgeLock(at, async () => (needed() ? undefined : await removeBoth(at)));

/** Whether the bridge has links that are none of guests': a host whose guests share a LAN with another's has put one there. */
export const hasUplink = (at: Instance = instance): boolean =>
  listIfExists(`/sys/class/net/${at.bridge}/brif`).some((link) => !link.startsWith(`${at.linkPrefix}-`));

async function removeBoth(at: Instance): Promise<void> {
  if (tableExists(at.nftTable))
    await runProgram(["nft", "delete", "table", "inet", at.nftTable], { package: "nftables" });
  if (isOurs(at.bridge)) await runProgram(["ip", "link", "del", at.bridge], { package: "iproute2" });
}
