/**
 * Addresses of containers. Each is claimed by a link named by it, so that two creations at once can never take the
 * same; the link says whose it is.
 */
import { rmSync } from "node:fs";
import { hashMac, hashNumber } from "../base/digest.ts";
import { BerthError } from "../base/errors.ts";
import { claim, claimant, makeDirs, syncDir } from "../base/files.ts";
import { leasesDir } from "../base/paths.ts";
import { contains, formatSubnet, gatewayOf, type Subnet, size, toNumber, toText } from "./ipv4.ts";

const leaseFile = (address: string): string => `${leasesDir()}/ip/${address}`;

/** Claims `wanted`, or a free address for `auto`. Returns it with the subnet's prefix, as "10.62.3.4/16". */
export function claimAddress(wanted: string, uuid: string, subnet: Subnet): string {
  makeDirs(`${leasesDir()}/ip`);
  const address = claimSome(wanted, uuid, subnet);
  syncDir(`${leasesDir()}/ip`);
  return address;
}

function claimSome(wanted: string, uuid: string, subnet: Subnet): string {
  if (wanted !== "auto") return claimFixed(wanted, uuid, subnet);
  // The first guess comes from the UUID, so that a migrated container rarely collides and most tries succeed at once.
  const usable = size(subnet) - 3;
  const start = hashNumber(uuid) % usable;
  for (let step = 0; step < usable; step++) {
    const address = toText(gatewayOf(subnet) + 1 + ((start + step) % usable));
    if (claim(leaseFile(address), uuid)) return `${address}/${subnet.prefix}`;
  }
  throw new BerthError(
    "network.no-address",
    `no address is free in ${formatSubnet(subnet)}`,
    "remove containers, or choose a larger subnet in berth.yaml",
  );
}

function claimFixed(wanted: string, uuid: string, subnet: Subnet): string {
  const [address = "", prefix] = wanted.split("/");
  const number = toNumber(address);
  if (number === gatewayOf(subnet)) {
    throw new BerthError("network.address-taken", `${address} is the bridge's own address`, "choose another");
  }
  if (number === subnet.address || number === subnet.address + size(subnet) - 1) {
    throw new BerthError(
      "network.failed",
      `${address} is the network or broadcast address of ${formatSubnet(subnet)}`,
      "choose another",
    );
  }
  const inside = contains(subnet, toNumber(address));
  if (!inside && prefix === undefined) {
    throw new BerthError(
      "network.failed",
      `${address} is not in the bridge's subnet ${formatSubnet(subnet)}`,
      "choose one of that subnet, or write it with its prefix length and name a gateway",
    );
  }
  if (!claim(leaseFile(address), uuid) && claimant(leaseFile(address)) !== uuid) {
    throw new BerthError(
      "network.address-taken",
      `${address} is taken by another container`,
      "`berth ls` shows the addresses in use",
    );
  }
  return `${address}/${prefix ?? subnet.prefix}`;
}

/** Gives an address back if it is this container's. */
export function releaseAddress(address: string, uuid: string): void {
  const file = leaseFile(address.split("/")[0] ?? "");
  if (claimant(file) === uuid) rmSync(file, { force: true });
}

/** The container's MAC: fixed by its UUID, locally administered. */
export const macOf = (uuid: string): string => hashMac(["0a"], `mac ${uuid}`);
