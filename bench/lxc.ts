/**
 * LXC as a peer: a base container for each template, of the same files, and overlay snapshots of it, with the limits,
 * id range, bridge and confinement that berth's guests have.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { cgroupLayout } from "../src/resources/layout.ts";
import { removeCgroup } from "../src/resources/tree.ts";
import { berthBinary, run, type World } from "../test/support/world.ts";
import { limits } from "./bench.ts";
import { type Stopwatch, stopwatch } from "./samples.ts";

/** First host id of LXC's guests; berth's ranges begin far above. */
export const LXC_BASE = 2_000_000;
const IDS = 65536;

export type Lxc = {
  readonly path: string;
  /** Runs `lxc-COMMAND -P PATH WORDS`. */
  readonly run: (command: string, ...words: readonly string[]) => number;
  /** The same; gives what it prints, undefined when it fails. */
  readonly ask: (command: string, ...words: readonly string[]) => Promise<string | undefined>;
  readonly rootfs: (base: "busybox" | "debian-13") => string;
  /** Ends and removes every container. */
  readonly end: () => Promise<void>;
};

// Where uidmap is installed LXC asks newuidmap, also for root, and that only knows /etc/subuid: without it in sight LXC
// writes the map itself, which is faster too.
const LXC_PATH = "/usr/sbin:/sbin";

/** Prepares LXC in a directory of the bench's. */
export async function lxcIn(world: World, dir: string): Promise<Lxc> {
  const path = `${dir}/lxc`;
  mkdirSync(path);
  // Guests' users pass through on their way to their own files.
  for (const each of [world.root, dir, path]) chmodSync(each, 0o711);
  for (const base of ["busybox", "debian-13"] as const) await makeBase(world, path, base);
  const env = { PATH: LXC_PATH };
  const before = new Set(pivots());
  const timed: Stopwatch = stopwatch(env, dir);
  const argv = (command: string, words: readonly string[]): string[] => [
    `/usr/bin/lxc-${command}`,
    "-P",
    path,
    ...words,
  ];
  return {
    path,
    run: (command, ...words) => timed(...argv(command, words)),
    ask: async (command, ...words) => {
      const { code, stdout } = await run(argv(command, words), { env });
      return code === 0 ? stdout.trim() : undefined;
    },
    rootfs: (base) => `${path}/${base}/rootfs`,
    end: async () => {
      const clones = readdirSync(path).filter((name) => existsSync(`${path}/${name}/overlay`));
      for (const name of clones) {
        await run(argv("stop", ["-k", "-n", name]), { env });
        await run(argv("destroy", ["-n", name]), { env });
      }
      pivots()
        .filter((dir) => !before.has(dir))
        .forEach(removeCgroup);
    },
  };
}

/** Cgroups that LXC makes to move its monitors out of the way, and never removes. */
function pivots(): readonly string[] {
  const { v1, v2 } = cgroupLayout();
  return [...v1.map(({ mount }) => mount), ...(v2 === undefined ? [] : [v2])]
    .map((mount) => `${mount}/lxc.pivot`)
    .filter((dir) => existsSync(dir));
}

async function makeBase(world: World, path: string, base: "busybox" | "debian-13"): Promise<void> {
  const home = `${path}/${base}`;
  const templates = `${world.at.lib}/templates`;
  const digest = readFileSync(`${templates}/names/${base}`, "utf8").trim();
  mkdirSync(`${home}/rootfs`, { recursive: true });
  chmodSync(home, 0o711);
  const shift = ["--shift", "0", String(LXC_BASE), String(IDS)];
  const { code, stderr } = await run(
    [
      berthBinary.replace(/berth$/, "berth-tree"),
      "copy",
      ...shift,
      "--",
      `${templates}/${digest}/rootfs`,
      `${home}/rootfs`,
    ],
    { input: "pass\nend\n" },
  );
  if (code !== 0) throw new Error(`berth-tree copy of ${base}: ${stderr}`);
  chownSync(`${home}/rootfs`, LXC_BASE, LXC_BASE);
  writeFileSync(`${home}/config`, configOf(world, home, base));
}

function configOf(world: World, home: string, base: string): string {
  const net = readFileSync(`${world.at.lib}/subnet`, "utf8").split(".").slice(0, 2).join(".");
  const cpu = 100_000 * limits.cpus;
  const memory = `${limits.memory}`;
  return `lxc.include = /usr/share/lxc/config/common.conf
lxc.include = /usr/share/lxc/config/userns.conf
lxc.arch = linux64
lxc.hook.clone =
lxc.rootfs.path = dir:${home}/rootfs
lxc.uts.name = ${base}
lxc.idmap = u 0 ${LXC_BASE} ${IDS}
lxc.idmap = g 0 ${LXC_BASE} ${IDS}
lxc.net.0.type = veth
lxc.net.0.link = ${world.at.bridge}
lxc.net.0.flags = up
lxc.net.0.ipv4.address = ${net}.255.2/16
lxc.net.0.ipv4.gateway = ${net}.0.1
lxc.console.path = none
${base === "busybox" ? limitsOf(memory, cpu) : systemdMounts()}`;
}

const limitsOf = (memory: string, cpu: number): string => `lxc.cgroup.memory.limit_in_bytes = ${memory}
lxc.cgroup.cpu.cfs_quota_us = ${cpu}
lxc.cgroup.pids.max = ${limits.pids}
lxc.cgroup2.memory.max = ${memory}
lxc.cgroup2.cpu.max = ${cpu} 100000
lxc.cgroup2.pids.max = ${limits.pids}
`;

/** On a hybrid host a current systemd wants to see the v2 hierarchy alone. */
const systemdMounts = (): string =>
  existsSync("/sys/fs/cgroup/cgroup.controllers")
    ? ""
    : `lxc.mount.auto =
lxc.mount.auto = proc:mixed sys:mixed
lxc.mount.entry = cgroup2 sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec 0 0
`;
