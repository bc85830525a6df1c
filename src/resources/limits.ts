/** Limits of a container as the kernel's files want them, for v2 and for v1: pure functions, tested as data. */

/** undefined is no limit, but for swap, which then follows memory. Memory and swap in bytes, cpus in processors. */
export type Limits = {
  readonly memory: number | undefined;
  readonly swap: number | "none" | undefined;
  readonly cpus: number | undefined;
  readonly cpuWeight: number | undefined;
  readonly pids: number | undefined;
};

/** One write: controller, file, value. `optional` files do not exist on every host (swap accounting off). */
export type CgroupWrite = {
  readonly controller: string;
  readonly file: string;
  readonly value: string;
  readonly optional?: boolean;
};

/** Period of the CPU quota in microseconds: the kernel's default. */
const PERIOD = 100_000;

const text = (value: number | undefined, none: string): string =>
  value === undefined ? none : String(value);

/**
 * The limit of swap in force, undefined for none. With a memory limit and no word on swap a guest gets no swap, so that it
 * cannot fill the host's.
 */
export function swapOf({ memory, swap }: Partial<Pick<Limits, "memory" | "swap">>): number | undefined {
  if (swap === "none") return undefined;
  return swap ?? (memory === undefined ? undefined : 0);
}

/** Limits of a cgroup in which nothing is used up. */
export const noLimits: Limits = {
  memory: undefined,
  swap: undefined,
  cpus: undefined,
  cpuWeight: undefined,
  pids: undefined,
};

/** Of all keepers together, and the starts they make when guests reboot: however busy guests keep them, it is one processor. */
export const keeperLimits: Limits = { ...noLimits, cpus: 1 };

/** Files of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst). */
export function v2Writes(limits: Limits): CgroupWrite[] {
  const quota = limits.cpus === undefined ? "max" : String(Math.round(limits.cpus * PERIOD));
  return [
    { controller: "memory", file: "memory.max", value: text(limits.memory, "max") },
    { controller: "memory", file: "memory.swap.max", value: text(swapOf(limits), "max"), optional: true },
    { controller: "cpu", file: "cpu.max", value: `${quota} ${PERIOD}` },
    { controller: "cpu", file: "cpu.weight", value: text(limits.cpuWeight, "100") },
    { controller: "pids", file: "pids.max", value: text(limits.pids, "max") },
  ];
}

/**
 * Files of the v1 controllers. memsw bounds memory and swap together and must never lie below memory: `raise` says
 * which of the two is written first.
 */
export function v1Writes(limits: Limits, raise: boolean): CgroupWrite[] {
  const swap = swapOf(limits);
  const memory: CgroupWrite = {
    controller: "memory",
    file: "memory.limit_in_bytes",
    value: text(limits.memory, "-1"),
  };
  const both: CgroupWrite = {
    controller: "memory",
    file: "memory.memsw.limit_in_bytes",
    value: limits.memory === undefined || swap === undefined ? "-1" : String(limits.memory + swap),
    optional: true,
  };
  const quota = limits.cpus === undefined ? -1 : Math.max(1000, Math.round(limits.cpus * PERIOD));
  return [
    ...(raise ? [both, memory] : [memory, both]),
    { controller: "cpu", file: "cpu.cfs_period_us", value: String(PERIOD) },
    { controller: "cpu", file: "cpu.cfs_quota_us", value: String(quota) },
    // v1 counts shares around 1024 where v2 counts weight around 100.
    {
      controller: "cpu",
      file: "cpu.shares",
      value: String(Math.max(2, Math.round(((limits.cpuWeight ?? 100) * 1024) / 100))),
    },
    { controller: "pids", file: "pids.max", value: text(limits.pids, "max") },
  ];
}
