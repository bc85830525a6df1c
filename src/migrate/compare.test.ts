import { expect, test } from "bun:test";
import { parseContainerConfig } from "../config/parse.ts";
import { differences, isOlder, type LiveHost } from "./compare.ts";
import { cpuFlags } from "./host-facts.ts";

const host: LiveHost = {
  ...{ berth: "1", kernel: "6.12.48+deb13-amd64", architecture: "amd64", cpuFlags: ["aes", "avx2"] },
  ...{ apparmor: "on", mtu: 1500, clock: 0, criu: "4.1.1" },
};

const configOf = (text: string) => parseContainerConfig(`template: d\n${text}`, "c").value;

const told = (here: Partial<LiveHost>, there: Partial<LiveHost>, text = "") => {
  const { faults, warnings } = differences(
    { ...host, ...here },
    { ...host, ...there },
    "web1",
    configOf(text),
  );
  return [...faults.map(({ what, cure }) => `${what} (${cure})`), ...warnings].join("\n");
};

test("like hosts have nothing to tell, nor has a better destination", () => {
  expect(told({}, {})).toBe("");
  expect(told({}, { kernel: "7.0.1", criu: "4.2", mtu: 9000, cpuFlags: ["avx2", "aes", "rtm"] })).toBe("");
});

test("what a destination lacks is told with its cure", () => {
  expect(told({}, { cpuFlags: ["aes"] })).toMatch(/^that host's processors lack avx2 \(.*--offline/);
  expect(told({}, { mtu: 1450 })).toMatch(
    /MTU of that host's bridge is 1450, here it is 1500.*berth set web1 --mtu 1450/,
  );
  expect(told({}, { apparmor: "no-parser" })).toMatch(/confined by AppArmor.*apt-get install apparmor/);
  expect(told({}, { apparmor: "off" })).toContain("there: boot with AppArmor");
  expect(told({ apparmor: "off" }, {})).toContain("without AppArmor on that host until it is started anew");
  expect(told({}, { kernel: "6.1.0-40-amd64" })).toMatch(/older kernel, 6\.1\.0-40-amd64, than this one/);
  expect(told({ criu: "4.2.1" }, {})).toMatch(/older CRIU, 4\.1\.1, than this one, 4\.2\.1.*goes on here/);
});

test("what a container does not use is not compared", () => {
  expect(told({}, { apparmor: "off" }, "apparmor: none")).toBe("");
  expect(told({}, { mtu: 1400 }, "network: {mtu: 1400}")).toBe("");
  expect(told({}, { mtu: 1400 }, "network: {mode: none}")).toBe("");
});

test("versions are compared by number, and patch levels do not count", () => {
  expect(isOlder("6.9.1", "6.12.0")).toBe(true);
  expect(isOlder("6.12.1", "6.12.48+deb13")).toBe(false);
  expect(isOlder("7.0", "6.12")).toBe(false);
  expect(isOlder("unknown version", "4.1")).toBe(true);
});

test("flags are those that programs depend on", () => {
  const x86 =
    "processor : 0\nflags\t\t: fpu sse4_2 avx512f rep_good nopl ibrs_enhanced xsavec hypervisor sha_ni\n";
  expect(cpuFlags(x86)).toEqual(["sse4_2", "avx512f", "xsavec", "sha_ni"]);
  expect(cpuFlags("Features\t: fp asimd sve\n")).toEqual(["fp", "asimd", "sve"]);
  expect(cpuFlags("")).toEqual([]);
});
