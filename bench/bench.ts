/** What every work gets: a world of berth's, LXC beside it, programs of the bench, and where figures go. */
import { mkdirSync } from "node:fs";
import { berthBinary, newWorld, run, type World } from "../test/support/world.ts";
import { type Lxc, lxcIn } from "./lxc.ts";
import { newSamples, type Samples, type Stopwatch, stopwatch } from "./samples.ts";

export type Sizes = {
  /** Rounds of what takes milliseconds. */
  readonly rounds: number;
  /** Rounds of what takes seconds. */
  readonly few: number;
  /** Numbers of containers, and how many of them run. */
  readonly populations: readonly { readonly all: number; readonly running: number }[];
  /** Systemd guests that boot side by side. */
  readonly fleet: number;
  /** Seconds of one load inside. */
  readonly load: number;
};

export const quickSizes: Sizes = {
  rounds: 30,
  few: 3,
  populations: [{ all: 40, running: 20 }],
  fleet: 4,
  load: 0.3,
};

export const fullSizes: Sizes = {
  rounds: 60,
  few: 9,
  populations: [
    { all: 200, running: 100 },
    { all: 1000, running: 500 },
    { all: 1000, running: 1000 },
  ],
  fleet: 50,
  load: 1,
};

/** Limits that both sides get. */
export const limits = { memory: "256M", cpus: 1, pids: 200, disk: "256M" } as const;

export type Bench = {
  readonly world: World;
  readonly lxc: Lxc;
  readonly samples: Samples;
  readonly sizes: Sizes;
  /** A directory below the world's. */
  readonly dir: string;
  /** Runs a program of the host. */
  readonly timed: Stopwatch;
  /** Runs berth. */
  readonly berth: Stopwatch;
  readonly say: (text: string) => void;
};

/** Makes the world; its bridge is up, both templates are there for both sides, and nothing runs. */
export async function newBench(sizes: Sizes, say: (text: string) => void): Promise<Bench> {
  const world = await newWorld("busybox", "debian-13");
  try {
    const dir = `${world.root}/bench`;
    mkdirSync(dir);
    // The first guest makes bridge, seccomp filter and empty file system.
    await world.ok("create", "first", "-t", "busybox", "--disk", limits.disk, "--start");
    await world.ok("rm", "--force", "first");
    const lxc = await lxcIn(world, dir);
    const timed = stopwatch(world.env, dir);
    return {
      ...{ world, lxc, dir, sizes, say, timed },
      samples: newSamples(),
      berth: (...words) => timed(berthBinary, ...words),
    };
  } catch (error) {
    await world.end();
    throw error;
  }
}

/** Takes everything away again. */
export async function endBench({ world, lxc }: Bench): Promise<void> {
  await lxc.end();
  await world.end();
}

/** Compiles one of the bench's own programs; returns its path. */
export async function compiled(dir: string, name: "floor" | "inside"): Promise<string> {
  const target = `${dir}/${name}`;
  const flags = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-static"];
  const { code, stderr } = await run(["cc", ...flags, "-o", target, `${import.meta.dir}/${name}.c`]);
  if (code !== 0) throw new Error(`cc ${name}.c: ${stderr}`);
  return target;
}

/** A population in words, as rows and series name it. */
export const labelOf = ({ all, running }: Sizes["populations"][number]): string =>
  all === running ? String(all) : `${all} (${running} running)`;
