/**
 * runc, crun and systemd-nspawn as peers. Neither makes a link or an overlay by itself: the overlay is mounted by mount(8)
 * within the time taken, the network namespace has loopback alone.
 */
import { chownSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import type { Bench } from "./bench.ts";
import { limits } from "./bench.ts";

type Add = (name: string, value: number) => void;

/** One turn each; a peer that does not work here is left out, and the reason noted. */
export function ociPeers(bench: Bench, base: number): readonly ((add: Add) => void)[] {
  const turns = (["runc", "crun"] as const).map((program) => ociTurn(bench, program, base));
  return [...turns, nspawnTurn(bench, base)].map((turn) => skippable(bench, turn));
}

type Turn = { readonly name: string; readonly series: readonly string[]; readonly once: (add: Add) => void };

function skippable({ samples, say }: Bench, { name, series, once }: Turn): (add: Add) => void {
  let works = true;
  return (add) => {
    if (!works) return;
    try {
      once(add);
    } catch (error) {
      works = false;
      const why = error instanceof Error ? error.message : String(error);
      const reason = why.split("\n").at(-1) ?? why;
      for (const one of series) samples.absent.set(one, `${name} does not work here: ${reason.slice(-200)}`);
      say(`${name} is left out: ${reason}`);
    }
  };
}

function ociTurn(bench: Bench, program: "runc" | "crun", base: number): Turn {
  const { dir, timed } = bench;
  const bundle = `${dir}/${program}`;
  const state = ["--root", `${bundle}/state`];
  overlayParts(bundle, base);
  writeFileSync(`${bundle}/config.json`, JSON.stringify(ociConfig(base)));
  return {
    name: program,
    series: [`${program} run -d`, `${program} exec`],
    once: (add) => {
      const mounting = mountOverlay(bench, bundle);
      try {
        add(
          `${program} run -d`,
          mounting + timed(program, ...state, "run", "-d", "-b", bundle, `t-bench-${program}`),
        );
        add(`${program} exec`, timed(program, ...state, "exec", `t-bench-${program}`, "/bin/true"));
        timed(program, ...state, "delete", "-f", `t-bench-${program}`);
      } finally {
        timed("umount", "-l", `${bundle}/rootfs`);
      }
    },
  };
}

function nspawnTurn(bench: Bench, base: number): Turn {
  const home = `${bench.dir}/nspawn`;
  overlayParts(home, base);
  const options = [
    ...["--quiet", "--register=no", "--keep-unit", "--private-network", "--as-pid2", "--pipe"],
    ...[`--private-users=${base}:65536`, "--machine=t-bench", "-D", `${home}/rootfs`, "/bin/true"],
  ];
  return {
    name: "systemd-nspawn",
    series: ["systemd-nspawn true"],
    once: (add) => {
      const mounting = mountOverlay(bench, home);
      try {
        add("systemd-nspawn true", mounting + bench.timed("systemd-nspawn", ...options));
      } finally {
        bench.timed("umount", "-l", `${home}/rootfs`);
      }
    },
  };
}

function overlayParts(home: string, base: number): void {
  mkdirSync(`${home}/rootfs`, { recursive: true });
  for (const part of ["upper", "work"]) {
    rmSync(`${home}/${part}`, { recursive: true, force: true });
    mkdirSync(`${home}/${part}`);
    chownSync(`${home}/${part}`, base, base);
  }
}

const mountOverlay = ({ timed, lxc }: Bench, home: string): number =>
  timed(
    "mount",
    ...["-t", "overlay", "overlay", "-o"],
    `lowerdir=${lxc.rootfs("busybox")},upperdir=${home}/upper,workdir=${home}/work`,
    `${home}/rootfs`,
  );

const mount = (destination: string, type: string, options: readonly string[]) => ({
  ...{ destination, type, source: type },
  options: ["nosuid", "noexec", ...options],
});

/** As `runc spec` writes it, with berth's limits and id range. */
const ociConfig = (base: number) => ({
  ociVersion: "1.0.2",
  process: {
    ...{ terminal: false, cwd: "/", args: ["/bin/sleep", "1000000"], noNewPrivileges: true },
    user: { uid: 0, gid: 0 },
    env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
    capabilities: Object.fromEntries(
      ["bounding", "effective", "permitted"].map((set) => [
        set,
        ["CAP_KILL", "CAP_CHOWN", "CAP_NET_BIND_SERVICE"],
      ]),
    ),
  },
  root: { path: "rootfs" },
  hostname: "t-bench",
  mounts: [
    mount("/proc", "proc", ["nodev"]),
    { ...mount("/dev", "tmpfs", ["strictatime", "mode=755", "size=65536k"]) },
    mount("/dev/pts", "devpts", ["newinstance", "ptmxmode=0666", "mode=0620"]),
    mount("/dev/shm", "tmpfs", ["nodev", "mode=1777", "size=65536k"]),
    mount("/sys", "sysfs", ["nodev", "ro"]),
  ],
  linux: {
    namespaces: ["user", "pid", "mount", "uts", "ipc", "network", "cgroup"].map((type) => ({ type })),
    uidMappings: [{ containerID: 0, hostID: base, size: 65536 }],
    gidMappings: [{ containerID: 0, hostID: base, size: 65536 }],
    resources: {
      devices: [{ allow: false, access: "rwm" }],
      memory: { limit: Number.parseInt(limits.memory, 10) * 2 ** 20 },
      cpu: { quota: 100_000 * limits.cpus, period: 100_000 },
      pids: { limit: limits.pids },
    },
    // A policy of a length like those of the others; names that the program does not know are skipped by it.
    seccomp: {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
      syscalls: [
        {
          names: ["kexec_load", "open_by_handle_at", "init_module", "finit_module", "delete_module"],
          action: "SCMP_ACT_ERRNO",
        },
      ],
    },
    maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware"],
    readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
  },
});
