import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BerthError } from "../base/errors.ts";
import { newConfigText } from "./new.ts";
import { changeConfig, parseContainerConfig } from "./parse.ts";

const parse = (text: string) => parseContainerConfig(text, "web1.yaml").value;

const fault = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof BerthError && error.code === "config.invalid") return error.message;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
};

describe("values", () => {
  test("defaults", () => {
    const config = parse("template: debian-13\n");
    expect(config).toMatchObject({
      template: "debian-13",
      pids: 4096,
      disk: 10 * 2 ** 30,
      network: { mode: "bridge", address: "auto" },
      init: ["/sbin/init"],
      stop: { timeout: 60 },
      privileged: false,
    });
    expect(config.memory).toBeUndefined();
  });
  test("units and none", () => {
    const config = parse(
      "template: d\nmemory: 512M\ncpus: 1.5\npids: none\ndisk: none\ninodes: 500k\nstop: {signal: SIGRTMIN+3, timeout: 2m}\n",
    );
    expect(config).toMatchObject({
      memory: 512 * 2 ** 20,
      cpus: 1.5,
      inodes: 500_000,
      stop: { signal: 37, timeout: 120 },
    });
    expect([config.pids, config.disk]).toEqual([undefined, undefined]);
  });
});

describe("faults name file, line, column, key, value and cure", () => {
  const cases: readonly [text: string, message: string | RegExp][] = [
    [
      "template: d\nmemory: 12X\n",
      'web1.yaml:2:9: memory: "12X": it is not a size; write a number with K, M, G or T, such as 512M, or none',
    ],
    ["template: d\nmemory: 512\n", /did you mean 512M\?/],
    ["template: d\nmemroy: 1G\n", "web1.yaml:2:9: memroy: there is no such setting; did you mean memory?"],
    ["memory: 1G\n", "web1.yaml:1:1: template: it is missing and has no default"],
    [
      "template: d\nnetwork:\n  adress: 1.2.3.4\n",
      "web1.yaml:3:11: network.adress: there is no such setting; did you mean address?",
    ],
    [
      "template: d\nnetwork: {address: 10.300.1.2}\n",
      /2:20: network\.address: "10\.300\.1\.2": it is not an address/,
    ],
    ["template: d\n  bad: [1\n", /web1\.yaml:\d+:\d+: /],
    ["template: d\ntemplate: e\n", /Map keys must be unique/],
    ["template: d\nsysctl: {kernel.core_pattern: x}\n", /not a setting of the guest's own namespaces/],
    ["template: d\ninit: [relative]\n", /absolute path/],
    ["template: d\nhostname: a b\n", /not a host name/],
    ["- a list\n", /web1\.yaml:1:1/],
  ];
  for (const [text, message] of cases) {
    test(JSON.stringify(text), () => {
      if (typeof message === "string") expect(fault(text)).toBe(message);
      else expect(fault(text)).toMatch(message);
    });
  }
  test("all faults at once", () => {
    const text = fault("template: d\nmemory: x\ncpus: y\n");
    expect(text).toContain("2 faults");
    expect(text).toContain("memory");
    expect(text).toContain("cpus");
  });
});

describe("changing", () => {
  const before =
    "# mine\ntemplate: d # keep\nmemory: 1G # why\n\nnetwork:\n  # a note\n  address: 10.1.2.3\n";
  test("comments and order stay", () => {
    const { text, value } = changeConfig(before, "f", [
      { path: ["memory"], value: "2G" },
      { path: ["network", "mtu"], value: 1400 },
      { path: ["sysctl", "net.ipv4.ip_forward"], value: "1" },
    ]);
    expect(text).toBe(
      '# mine\ntemplate: d # keep\nmemory: 2G # why\n\nnetwork:\n  # a note\n  address: 10.1.2.3\n  mtu: 1400\nsysctl:\n  net.ipv4.ip_forward: "1"\n',
    );
    expect(value.sysctl).toEqual({ "net.ipv4.ip_forward": "1" });
  });
  test("taking away", () => {
    const { value } = changeConfig(before, "f", [{ path: ["memory"], value: null }]);
    expect(value.memory).toBeUndefined();
  });
  test("a bad value changes nothing and is named", () => {
    expect(() => changeConfig(before, "f", [{ path: ["cpus"], value: "many" }])).toThrow("cpus");
  });
  test("a new file parses", () => {
    const text = newConfigText("web1", "debian-13", [{ path: ["network", "address"], value: "10.1.2.3" }]);
    expect(parse(text).network.address).toBe("10.1.2.3");
    expect(text).toContain("# web1:");
  });
});

test("whatever the text, there is a config or a config.invalid", () => {
  const word = fc.constantFrom(
    "template",
    "memory",
    ":",
    " ",
    "\n",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a",
    "*a",
    "!!js",
    "<<",
    "#",
    '"',
    "1G",
    "network",
    "\t",
    "\0",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(word, { maxLength: 30 }).map((words) => words.join("")),
      ),
      (text) => {
        try {
          parseContainerConfig(text, "f");
        } catch (error) {
          expect(error).toBeInstanceOf(BerthError);
          expect((error as BerthError).code).toBe("config.invalid");
        }
      },
    ),
    { numRuns: fc.readConfigureGlobal().numRuns ?? 2000 },
  );
});

describe("system calls in settings", () => {
  const fault = (yaml: string) => () => parseContainerConfig(`template: d\n${yaml}`, "f");
  test("are known by name; the nearest is offered for one that is not", () => {
    expect(fault("seccomp: {deny: [ptrcae]}")).toThrow(/seccomp\.deny\.0: "ptrcae": .*did you mean ptrace\?/);
    expect(
      parseContainerConfig("template: d\nseccomp: {deny: [file_setattr]}", "f").value.seccomp.deny,
    ).toEqual(["file_setattr"]);
  });
  test("contradict neither each other nor what else is set", () => {
    expect(fault("seccomp: {deny: [ptrace], allow: [ptrace]}")).toThrow("stands both in allow and in deny");
    expect(fault("nesting: true\nprivileged: true")).toThrow(
      /f:2:10: nesting: true: it needs a user namespace/,
    );
    expect(fault("nesting: true\nseccomp: {profile: strict}")).toThrow("profile strict lets no guest nest");
  });
});
