import { describe, expect, test } from "bun:test";
import type { Plan } from "../kernel/plan.ts";
import type { Attempt, Outcome, Run } from "./attacker.ts";
import { parseRun } from "./attacker.ts";
import { type Layer, layersOf, withLayers, withoutDeviceRules, withoutHierarchy } from "./layers.ts";
import { type Evidence, findingOf, isContained, summarise, worst } from "./verdict.ts";

const line = (id: string, outcome: string, more = ""): string =>
  `{"id":"${id}","outcome":"${outcome}","errno":1,"detail":""${more}}`;

describe("what the attacker says is a guest's text", () => {
  const ids = new Set(["kcore", "dmesg"]);
  test("lines that are expected are taken, all others are not", () => {
    const run = parseRun(
      [line("kcore", "blocked"), "", "{", line("other", "blocked"), "true"].join("\n"),
      ids,
    );
    expect([...run]).toEqual([["kcore", { outcome: "blocked", errno: 1, detail: "" }]]);
  });
  test("neither a terminal's commands nor strange numbers come through", () => {
    for (const bad of [
      '"errno":-1,"detail":""',
      '"errno":1e9,"detail":""',
      '"errno":1,"detail":"\\u001b[2J"',
    ])
      expect(parseRun(`{"id":"kcore","outcome":"blocked",${bad}}`, ids).size).toBe(0);
  });
  test("an attempt that is answered twice is lost", () => {
    const run = parseRun(
      [line("kcore", "through"), line("kcore", "blocked"), line("dmesg", "blocked")].join("\n"),
      ids,
    );
    expect([...run.keys()]).toEqual(["dmesg"]);
  });
});

describe("plans with some layers", () => {
  const plan: Plan = [
    ["name", "x"],
    ["namespaces", "user", "pid", "mnt"],
    ["cgroupJoin", "v1", "/sys/fs/cgroup/devices/berth/x"],
    ["cgroupJoin", "v1", "/sys/fs/cgroup/memory/berth/x"],
    ["deviceBpf", "/sys/fs/cgroup/berth/x", new Uint8Array(8)],
    ["caps", 0],
    ["apparmor", "berth-x"],
    ["seccomp", new Uint8Array(8)],
  ];
  const ops = (some: Plan) => some.map(([op]) => op);
  test("none", () => {
    expect(withLayers(plan, [])).toEqual([
      ["name", "x"],
      ["deviceBpf", "/sys/fs/cgroup/berth/x", new Uint8Array(8)],
    ]);
  });
  test("one", () => {
    expect(withLayers(plan, ["pid namespace"])).toContainEqual(["namespaces", "pid"]);
    expect(ops(withLayers(plan, ["seccomp"]))).toContain("seccomp");
    expect(ops(withLayers(plan, ["seccomp"]))).not.toContain("caps");
    expect(ops(withLayers(plan, ["seccomp"]))).not.toContain("apparmor");
    expect(ops(withLayers(plan, ["AppArmor"]))).toContain("apparmor");
    expect(ops(withLayers(plan, ["limits"]))).toContain("cgroupJoin");
  });
  test("device rules are apart from limits on v2 and on v1", () => {
    expect(ops(withoutDeviceRules(plan))).not.toContain("deviceBpf");
    const left = withoutHierarchy(plan, "/sys/fs/cgroup/devices").filter(([op]) => op === "cgroupJoin");
    expect(left).toEqual([["cgroupJoin", "v1", "/sys/fs/cgroup/memory/berth/x"]]);
  });
  test("a privileged guest has no user namespace, a host without AppArmor no profile", () => {
    expect(layersOf({ privileged: true }, true)).not.toContain("user namespace");
    expect(layersOf({ privileged: false }, true)).toContain("user namespace");
    expect(layersOf({ privileged: true }, true)).toContain("AppArmor");
    expect(layersOf({ privileged: true }, false)).not.toContain("AppArmor");
  });
});

describe("findings", () => {
  const attempt: Attempt = { id: "kcore", what: "", cve: "", control: "", sandbox: false };
  const run = (outcome?: Outcome["outcome"]): Run =>
    new Map(outcome === undefined ? [] : [["kcore", { outcome, errno: 1, detail: "" }]]);
  const evidence = (
    none: Outcome["outcome"],
    host: Outcome["outcome"],
    stops: readonly Layer[],
  ): Evidence => ({
    host: run(host),
    none: run(none),
    alone: new Map(
      (["seccomp", "user namespace"] as const).map((layer) => [
        layer,
        run(stops.includes(layer) ? "blocked" : "through"),
      ]),
    ),
  });
  const find = (some: Evidence, root: Run, user?: Run) => findingOf(attempt, some, root, user);

  test("what stops it is named, the outermost first", () => {
    const some = evidence("through", "through", ["user namespace", "seccomp"]);
    expect(find(some, run("blocked"))).toMatchObject({
      root: "blocked",
      layers: ["seccomp", "user namespace"],
    });
  });
  test("what no layer stops alone takes several", () => {
    expect(find(evidence("through", "through", []), run("blocked")).layers).toEqual(["together"]);
  });
  test("what works from a careless process only is stopped by a clean start", () => {
    expect(find(evidence("blocked", "through", []), run("blocked")).layers).toEqual(["clean start"]);
  });
  test("what works nowhere is absent, and no success", () => {
    const some = find(evidence("blocked", "blocked", []), run("blocked"));
    expect(some).toMatchObject({ root: "absent", layers: [] });
    expect(summarise([some])).toEqual({ blocked: 0, through: 0, absent: 1, lost: 0 });
  });
  test("what got through or was lost is bad, whoever it was", () => {
    const some = evidence("through", "through", ["seccomp"]);
    expect(worst(find(some, run("blocked"), run("through")))).toBe("through");
    expect(worst(find(some, run("blocked"), run()))).toBe("lost");
    // Also where the control did not see it work.
    expect(find(evidence("blocked", "blocked", []), run("through")).root).toBe("through");
    expect(isContained({ blocked: 1, through: 0, absent: 0, lost: 0 })).toBe(true);
    expect(isContained({ blocked: 1, through: 0, absent: 0, lost: 1 })).toBe(false);
    expect(isContained({ blocked: 1, through: 1, absent: 0, lost: 0 })).toBe(false);
  });
});
