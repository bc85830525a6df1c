import { describe, expect, test } from "bun:test";
import { parseContainerConfig } from "../config/parse.ts";
import { syscallNames } from "../config/syscalls.ts";
import type { Op, PlanRecord } from "../kernel/plan.ts";
import { attachPlan, type LaunchFacts, launchPlan } from "./plan.ts";
import { boundingSet } from "./policy.ts";
import { seccompPolicies } from "./seccomp.ts";
import { absent, absentPrivileged, refused, refusedPrivileged, strictAllowed } from "./syscall-lists.ts";

const facts = (yaml = ""): LaunchFacts => ({
  name: "web1",
  config: parseContainerConfig(`template: d\n${yaml}`, "f").value,
  uuid: "6f1c9d0e-0000-4000-8000-000000000001",
  baseUid: 1 << 28,
  runDir: "/run/berth/web1",
  scratchDir: "/run/berth/.mnt",
  consoleLog: "/var/log/berth/web1.console.log",
  consoleLogSize: 1 << 20,
  eventsFile: "/var/log/berth/events.jsonl",
  rebootCommand: ["/usr/bin/berth", "start", "--by-keeper", "web1"],
  seccomp: [{ filter: new Uint8Array(8), log: false }],
  apparmor: undefined,
  selinux: false,
  cgroupRecords: [],
  rootRecords: [],
  volumeRecords: [],
  mounts: [],
  networkRecords: [["linkUp", "lo"]],
  files: [{ path: "/etc/hostname", when: "always", mode: "644", content: "web1\n" }],
  trace: false,
});

const of = (plan: readonly PlanRecord[], op: Op) =>
  plan.filter(([name]) => name === op).map(([, ...args]) => args);

describe("a start", () => {
  const plan = launchPlan(facts("environment: {LANG: C.UTF-8}\nsysctl: {net.ipv4.ip_forward: 1}"));
  test("has a user namespace with the container's own ids", () => {
    expect(of(plan, "namespaces")).toEqual([["user", "pid", "mnt", "uts", "ipc", "net", "cgroup"]]);
    expect(of(plan, "idmap")).toEqual([
      ["u", 0, 1 << 28, 65536],
      ["g", 0, 1 << 28, 65536],
    ]);
  });
  test("gives init its environment", () => {
    const [env] = of(plan, "env");
    expect(env).toContain("container=berth");
    expect(env).toContain("MEMORY_PRESSURE_WATCH=/dev/null");
    expect(env).toContain("LANG=C.UTF-8");
  });
  test("mounts proc, a read-only sys and cgroup2 before it masks", () => {
    const ops = plan.map(([op]) => op);
    expect(
      of(plan, "mount")
        .slice(0, 3)
        .map(([type, target]) => [type, target]),
    ).toEqual([
      ["proc", "/proc"],
      ["sysfs", "/sys"],
      ["cgroup2", "/sys/fs/cgroup"],
    ]);
    expect(of(plan, "mount")[1]?.[2]).toContain("ro");
    expect(ops.lastIndexOf("mount")).toBeLessThan(ops.indexOf("mask"));
    expect(ops.indexOf("bindSelf")).toBeLessThan(ops.indexOf("bindConsole"));
  });
  test("masks what the complaint of 2012 named", () => {
    const masked = of(plan, "mask").flat();
    expect(masked).toContain("/proc/sysrq-trigger");
    expect(masked).toContain("/proc/kcore");
  });
  test("sets sysctls by path", () => {
    expect(of(plan, "sysctl")).toEqual([["net/ipv4/ip_forward", "1", "must"]]);
  });
  test("keeps no capability over the host's kernel", () => {
    const [caps] = of(plan, "caps");
    for (const capability of [16, 17, 25, 34, 39]) expect(caps).not.toContain(capability);
    expect(caps).toContain(21); // sys_admin, of its own namespaces
  });
});

describe("mounts of the host", () => {
  const plan = launchPlan({
    ...facts(),
    volumeRecords: [["bind", "volume0", "/pool/id"]],
    mounts: [
      { source: "/srv/in", target: "/data/in", options: ["suid", "rec"] },
      { source: "/srv/data", target: "/data", options: ["ro", "noidmap"] },
      { source: "@volume0/data", target: "/vol", options: [] },
    ],
  });
  test("come parents first, without set-uid and devices, with the guest's ids unless told otherwise", () => {
    expect(of(plan, "bindHost")).toEqual([
      ["/srv/data", "/data", "nodev,nosuid,ro"],
      ["/srv/in", "/data/in", "nodev,idmap,rec"],
      ["@volume0/data", "/vol", "nodev,nosuid,idmap"],
    ]);
  });
  test("come after the files that berth writes, so that none lands on the host", () => {
    const ops = plan.map(([op]) => op);
    expect(ops.lastIndexOf("file")).toBeLessThan(ops.indexOf("bindHost"));
    expect(ops.indexOf("scratch")).toBeLessThan(ops.indexOf("bind"));
  });
});

describe("a privileged guest", () => {
  const plan = launchPlan({ ...facts("privileged: true"), baseUid: 0 });
  test("has no user namespace and fewer capabilities", () => {
    expect(of(plan, "namespaces")[0]).not.toContain("user");
    expect(of(plan, "idmap")).toEqual([]);
    const auto = { apparmor: "auto" } as const;
    expect(boundingSet({ ...auto, privileged: true })).not.toContain(2);
    expect(boundingSet({ ...auto, privileged: true }).length).toBeLessThan(
      boundingSet({ ...auto, privileged: false }).length,
    );
    const may = [true, false].map((privileged) =>
      boundingSet({ privileged, apparmor: "stacked" }).includes(33),
    );
    expect([boundingSet({ ...auto, privileged: false }).includes(33), ...may]).toEqual([false, false, true]);
  });
  test("cannot write /proc/sys", () => {
    expect(of(plan, "readonly").flat()).toContain("/proc/sys");
  });
});

test("exec gets the confinement of init", () => {
  const all = {
    ...facts("no-new-privs: true\nselinux-label: u:r:t:s0"),
    seccomp: [
      { filter: new Uint8Array(8), log: false },
      { filter: new Uint8Array(16), log: true },
    ],
    apparmor: { label: "berth-1", loaded: ["berth-1"] },
    selinux: true,
  };
  const [start, attach] = [launchPlan(all), attachPlan(all)];
  for (const op of [
    "caps",
    "seccomp",
    "seccompLog",
    "noNewPrivs",
    "namespaces",
    "apparmor",
    "selinux",
  ] as const) {
    expect(of(attach, op)).toEqual(of(start, op));
    expect(of(attach, op).length).toBeGreaterThan(0);
  }
});

describe("system calls", () => {
  const policies = (yaml = "") =>
    seccompPolicies({ ...parseContainerConfig(`template: d\n${yaml}`, "f").value, arch: "x64" }).map(
      ({ text }) => text,
    );
  const lines = (yaml = "") => (policies(yaml).at(-1) ?? "").split("\n");
  test("the host's log, modules, quota and nested namespaces are refused", () => {
    const policy = lines();
    for (const call of ["syslog", "init_module", "kexec_load", "quotactl", "nr:443", "bpf"])
      expect(policy).toContain(`errno 1 ${call}`);
    expect(policy).toContain(`errno 1 unshare 0 masked_eq ${0x10000000} ${0x10000000}`);
    expect(policy).toContain("errno 38 nr:435"); // clone3
    expect(policy).toContain(`errno 97 socket 0 masked_eq 40 ${0xffffffff}`);
    for (const arch of ["x86_64", "x32", "x86"]) expect(policy).toContain(`arch ${arch}`);
  });
  test("without a user namespace project ids, file handles and mounts that no rule sees are refused as well", () => {
    expect(lines("privileged: true")).toContain("errno 1 open_by_handle_at");
    expect(lines("privileged: true")).toContain(`errno 1 ioctl 1 masked_eq ${0x401c5820} ${0xffffffff}`);
    expect(lines("privileged: true")).toContain("errno 38 nr:429"); // move_mount
    expect(lines()).not.toContain("errno 1 open_by_handle_at");
  });
  test("a guest that nests makes namespaces, and nothing else that another may not", () => {
    const [policy, nesting] = [lines(), lines("nesting: true")];
    const lost = policy.filter((line) => !nesting.includes(line));
    expect(nesting.filter((line) => !policy.includes(line))).toEqual([]);
    expect(lost.every((line) => / (clone|unshare|nr:435)\b/.test(line))).toBe(true);
    expect(lost).toHaveLength(14);
  });
  test("strict lays a list of what is allowed over what is refused", () => {
    const [list = "", denied] = policies("seccomp: {profile: strict, allow: [ptrace]}");
    expect(list).toStartWith("default errno 38\nbadarch errno 38\narch x86_64\nallow");
    expect(denied).toBe(policies("seccomp: {allow: [ptrace]}")[0]);
    expect(list).toContain("allow ptrace\n");
    expect(list).not.toContain("allow socket\n");
  });
  test("what a person allows and denies holds", () => {
    const policy = lines("seccomp: {allow: [keyctl, clone3], deny: [ptrace, quotactl]}");
    expect(policy).not.toContain("errno 38 keyctl");
    expect(policy).not.toContain("errno 38 nr:435");
    expect(policy).toContain("errno 1 ptrace");
    expect(policy.filter((line) => line === "errno 1 quotactl")).toHaveLength(1);
  });
  test("what is logged leaves out the calls that programs do without", () => {
    const [quiet, logged] = policies("seccomp: {log: true}");
    expect(quiet).toContain("errno 38 nr:435"); // clone3
    expect(quiet).not.toContain("errno 1 ");
    expect(logged).toContain("errno 1 bpf");
    expect(logged).not.toContain("\nerrno 38 ");
  });
  test("profiles name calls that exist", () => {
    for (const call of [...refused, ...absent, ...refusedPrivileged, ...absentPrivileged, ...strictAllowed])
      expect(syscallNames).toContain(call);
    for (const call of strictAllowed) expect([...refused, ...absent]).not.toContain(call as never);
  });
});

test("a guest that nests has a proc and a sys with nothing over them, for its root alone", () => {
  const plan = launchPlan(facts("nesting: true"));
  expect(of(plan, "dir")).toContainEqual(["/dev/.berth", "700", 1 << 28, 1 << 28]);
  expect(of(plan, "mount").map(([type, target]) => [type, target])).toContainEqual([
    "proc",
    "/dev/.berth/proc",
  ]);
  expect(
    of(launchPlan(facts()), "mount")
      .map(([, target]) => target)
      .join(),
  ).not.toContain("/dev/.berth");
});
