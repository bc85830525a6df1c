import { describe, expect, test } from "bun:test";
import { chooseSubnet } from "./bridge.ts";
import { contains, formatSubnet, overlap, parseSubnet, toNumber, toText } from "./ipv4.ts";
import { tableScript } from "./nft.ts";
import { hostLink, hostsFile, networkRecords, reachableServers, resolvConf } from "./records.ts";
import { parseRoutes } from "./routes.ts";

test("addresses", () => {
  expect(toText(toNumber("10.62.255.1"))).toBe("10.62.255.1");
  expect(toText(toNumber("255.255.255.255"))).toBe("255.255.255.255");
  expect(formatSubnet(parseSubnet("10.62.3.4/16"))).toBe("10.62.0.0/16");
  expect(contains(parseSubnet("10.62.0.0/16"), toNumber("10.63.0.0"))).toBe(false);
  expect(overlap(parseSubnet("10.0.0.0/8"), parseSubnet("10.62.0.0/16"))).toBe(true);
  expect(overlap(parseSubnet("10.61.0.0/16"), parseSubnet("10.62.0.0/16"))).toBe(false);
});

test("routes of the host", () => {
  const table =
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n" +
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\n" +
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n";
  expect(parseRoutes(table)).toEqual([{ interface: "eth0", address: toNumber("192.0.2.0"), prefix: 24 }]);
});

test("a subnet clear of the host's routes is chosen", () => {
  const chosen = (first: number, ...taken: string[]) => {
    const subnet = chooseSubnet(
      first,
      taken.map((text) => ({ interface: "x", ...parseSubnet(text) })),
    );
    return subnet === undefined ? undefined : formatSubnet(subnet);
  };
  expect(chosen(62)).toBe("10.62.0.0/16");
  expect(chosen(62, "10.62.8.0/24")).toBe("10.63.0.0/16");
  expect(chosen(253, "10.253.0.0/16")).toBe("10.62.0.0/16");
  expect(chosen(62, "10.0.0.0/8")).toBeUndefined();
});

describe("the guest's files", () => {
  test("hosts", () => {
    expect(hostsFile("web1.example.org", "10.62.0.5/16")).toContain("10.62.0.5 web1.example.org web1\n");
    expect(hostsFile("web1", undefined)).toContain("127.0.1.1 web1\n");
  });
  test("resolv.conf", () => {
    expect(resolvConf(["9.9.9.9"], ["example.org"])).toBe("search example.org\nnameserver 9.9.9.9\n");
    expect(
      reachableServers("nameserver 127.0.0.53\nnameserver 10.0.0.1\n# nameserver 1.1.1.1\nnameserver ::1\n"),
    ).toEqual(["10.0.0.1"]);
  });
});

test("link names fit and stay distinct", () => {
  const long = "a-very-long-container-name";
  expect(hostLink("bv", "web1")).toBe("bv-web1");
  expect(hostLink("bv", long).length).toBe(15);
  expect(hostLink("bv", `${long}1`)).not.toBe(hostLink("bv", `${long}2`));
});

test("records of a bridged guest: links and addresses before the route", () => {
  const records = networkRecords(
    { mode: "bridge", address: "auto" },
    {
      name: "web1",
      mac: "0a:01:02:03:04:05",
      address: "10.62.0.5/16",
      gateway: "10.62.0.1",
      bridge: "berth0",
      linkPrefix: "bv",
    },
  );
  expect(records.map(([op]) => op)).toEqual(["linkUp", "veth", "address", "linkUp", "route"]);
  expect(records[1]).toEqual([
    "veth",
    "bv-web1",
    "eth0",
    100001,
    "0a:01:02:03:04:05",
    "fe:01:02:03:04:05",
    "",
    "berth0",
  ]);
});

test("the table touches nothing of others", () => {
  const script = tableScript("berth", "berth0", parseSubnet("10.62.0.0/16"));
  expect(script.match(/table \S+ \S+/g)).toEqual([
    "table inet berth",
    "table inet berth",
    "table inet berth",
  ]);
  expect(script).toContain('ip saddr 10.62.0.0/16 ip daddr != 10.62.0.0/16 oifname != "berth0" masquerade');
});
