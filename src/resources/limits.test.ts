import { expect, test } from "bun:test";
import { layoutFrom, limitsOnV2 } from "./layout.ts";
import { type Limits, v1Writes, v2Writes } from "./limits.ts";

const none: Limits = {
  memory: undefined,
  swap: undefined,
  cpus: undefined,
  cpuWeight: undefined,
  pids: undefined,
};
const some: Limits = { memory: 2 ** 29, swap: 2 ** 28, cpus: 1.5, cpuWeight: 200, pids: 500 };
const values = (writes: readonly { file: string; value: string }[]) =>
  Object.fromEntries(writes.map(({ file, value }) => [file, value]));

test("v2 files", () => {
  expect(values(v2Writes(some))).toEqual({
    "memory.max": "536870912",
    "memory.swap.max": "268435456",
    "cpu.max": "150000 100000",
    "cpu.weight": "200",
    "pids.max": "500",
  });
  expect(values(v2Writes(none))).toEqual({
    "memory.max": "max",
    "memory.swap.max": "max",
    "cpu.max": "max 100000",
    "cpu.weight": "100",
    "pids.max": "max",
  });
});

test("limited memory without a word on swap gets none", () => {
  expect(values(v2Writes({ ...none, memory: 2 ** 29 }))["memory.swap.max"]).toBe("0");
  expect(values(v1Writes({ ...none, memory: 2 ** 29 }, true))["memory.memsw.limit_in_bytes"]).toBe(
    "536870912",
  );
});

test("swap none is no limit, whatever memory has", () => {
  const limits: Limits = { ...none, memory: 2 ** 29, swap: "none" };
  expect(values(v2Writes(limits))["memory.swap.max"]).toBe("max");
  expect(values(v1Writes(limits, true))["memory.memsw.limit_in_bytes"]).toBe("-1");
});

test("v1 files, memsw first when the limit is raised", () => {
  expect(values(v1Writes(some, true))).toEqual({
    "memory.limit_in_bytes": "536870912",
    "memory.memsw.limit_in_bytes": "805306368",
    "cpu.cfs_period_us": "100000",
    "cpu.cfs_quota_us": "150000",
    "cpu.shares": "2048",
    "pids.max": "500",
  });
  expect(v1Writes(some, true)[0]?.file).toBe("memory.memsw.limit_in_bytes");
  expect(v1Writes(some, false)[0]?.file).toBe("memory.limit_in_bytes");
  expect(values(v1Writes(none, true))["cpu.cfs_quota_us"]).toBe("-1");
});

test("layouts", () => {
  const pure = layoutFrom("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", () => "cpuset cpu io memory pids\n");
  expect(limitsOnV2(pure)).toBe(true);
  expect(pure.v1).toEqual([]);
  const hybrid = layoutFrom(
    [
      "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0",
      "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0",
      "cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0",
      "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0",
    ].join("\n"),
    () => "hugetlb\n",
  );
  expect(limitsOnV2(hybrid)).toBe(false);
  expect(hybrid.v1.map(({ controllers }) => controllers)).toEqual([
    ["cpu", "cpuacct"],
    ["memory"],
    ["name=systemd"],
  ]);
});
