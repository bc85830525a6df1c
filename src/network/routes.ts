/** The host's IPv4 routes from /proc/net/route (little endian hex), to keep clear of subnets in use. */
import { readFileSync } from "node:fs";
import type { Subnet } from "./ipv4.ts";

export type Route = Subnet & { readonly interface: string };

const swap = (hex: string): number => Buffer.from(hex, "hex").readUInt32LE(0);

const prefixOf = (mask: number): number => mask.toString(2).replaceAll("0", "").length;

/** Parses the table; the default route is left out. */
export function parseRoutes(text: string): Route[] {
  return text
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t"))
    .filter((fields) => fields.length > 7)
    .map(([name = "", destination = "", , , , , , mask = ""]) => ({
      interface: name,
      address: swap(destination),
      prefix: prefixOf(swap(mask)),
    }))
    .filter(({ prefix }) => prefix > 0);
}

export const hostRoutes = (): Route[] => parseRoutes(readFileSync("/proc/net/route", "utf8"));
