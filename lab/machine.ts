/** One QEMU process: its command line and its end. */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { type Agent, openAgent } from "./agent.ts";
import { limits } from "./deadline.ts";
import { labError, tail } from "./error.ts";
import type { Image } from "./image.ts";
import type { Qemu } from "./qemu.ts";
import { openQmp, type Qmp } from "./qmp.ts";

/** The disks of a machine in the order of their names in the guest: /dev/vda and on. */
export interface Disks {
  /** qcow2. */
  readonly root: string;
  /** Raw: two scratch disks and the payload. */
  readonly scratch: readonly [string, string];
  readonly payload: string;
}

/**
 * Where the guest's memory lies. `anonymous`: in QEMU, the machine boots. `saving`: in a file that it shares, the machine boots
 * to be saved. `saved`: a private copy-on-write view of such a file, the machine goes on from a device state.
 */
export type Ram =
  | { readonly from: "anonymous" }
  | { readonly from: "saving"; readonly file: string }
  | { readonly from: "saved"; readonly file: string };

export interface MachinePlan {
  readonly qemu: Qemu;
  readonly image: Image;
  readonly disks: Disks;
  /** MiB. */
  readonly memory: number;
  readonly ram: Ram;
  readonly serialLog: string;
  readonly errorLog: string;
  readonly sockets: MachineSockets;
}

export interface MachineSockets {
  readonly qmp: string;
  readonly agent: string;
  /** The LAN port's own socket and that of its peer. */
  readonly lan: string;
  readonly peer: string;
}

export interface Machine {
  readonly pid: number;
  readonly qmp: Qmp;
  readonly agent: Agent;
  readonly exited: Promise<unknown>;
  /** Kills QEMU: power off without warning. */
  readonly kill: () => Promise<void>;
}

/** Sockets of a machine in a session's socket directory; `lan` and `peer` cross for two hosts. */
export function machineSockets(dir: string, id: string, peerId: string): MachineSockets {
  const path = (kind: string, of: string): string => join(dir, `${of}.${kind}`);
  return { qmp: path("qmp", id), agent: path("agent", id), lan: path("lan", id), peer: path("lan", peerId) };
}

/** Starts QEMU and connects to its monitor and agent port. With saved RAM it waits for the device state. */
export async function startMachine(plan: MachinePlan): Promise<Machine> {
  const log = openSync(plan.errorLog, "a");
  const child = Bun.spawn(
    ["setpriv", "--pdeathsig", "KILL", plan.qemu.system, ...plan.qemu.firmware, ...machineArguments(plan)],
    {
      env: { ...process.env, ...plan.qemu.env },
      stdin: "ignore",
      stdout: log,
      stderr: log,
    },
  );
  closeSync(log);
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await child.exited;
  };
  const early = child.exited.then(async (code) => {
    throw labError(`QEMU ended with exit code ${code}`, [
      { title: "QEMU", text: tail(await Bun.file(plan.errorLog).text(), 20) },
    ]);
  });
  early.catch(() => undefined);
  try {
    const qmp = await Promise.race([openQmp(plan.sockets.qmp, limits.restore), early]);
    const agent = await Promise.race([openAgent(plan.sockets.agent, limits.restore), early]);
    return { pid: child.pid, qmp, agent, exited: child.exited, kill };
  } catch (error) {
    await Promise.race([early, Bun.sleep(500)]); // why QEMU ended says more than that its socket closed
    await kill();
    throw error;
  }
}

/** What the guest's kernel is told; the part after "lab" keeps emulated time and boot short. */
const kernelCommandLine = [
  "console=ttyS0 root=/dev/vda rw quiet loglevel=4 panic=0 net.ifnames=0",
  "mitigations=off nokaslr no_timer_check nowatchdog tsc=reliable random.trust_cpu=on cryptomgr.notests",
  "rcupdate.rcu_expedited=1 8250.nr_uarts=1 systemd.show_status=no",
].join(" ");

/** The devices, the same for every host of a kind: a saved host only wakes up among those that it fell asleep with. */
export function machineArguments(plan: MachinePlan): readonly string[] {
  const { disks, sockets, memory } = plan;
  const disk = (id: string, path: string, options: string): readonly string[] => [
    ...["-drive", `file=${path},if=none,id=${id},cache=unsafe,${options}`],
    ...["-device", `virtio-blk-pci,drive=${id}`],
  ];
  const nic = (id: string, mac: string): readonly string[] => [
    "-device",
    `virtio-net-pci,netdev=${id},mac=${mac},romfile=`,
  ];
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35,memory-backend=ram"],
    ...[
      "-cpu",
      "max",
      "-accel",
      "tcg,thread=multi",
      "-smp",
      "2",
      "-m",
      `${memory}M`,
      "-object",
      ramObject(plan.ram, memory),
    ],
    ...[
      "-chardev",
      `file,id=serial,path=${plan.serialLog},append=on`,
      "-serial",
      "chardev:serial",
      "-qmp",
      `unix:${sockets.qmp},server=on,wait=off`,
    ],
    ...["-chardev", `socket,id=agent,path=${sockets.agent},server=on,wait=off`],
    ...["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent"],
    ...disk("root", disks.root, "format=qcow2,discard=unmap"),
    ...disk("scratch0", disks.scratch[0], "format=raw,discard=unmap"),
    ...disk("scratch1", disks.scratch[1], "format=raw,discard=unmap"),
    ...disk("payload", disks.payload, "format=raw,readonly=on"),
    ...["-netdev", "user,id=user,restrict=on", ...nic("user", "52:54:00:aa:00:01")],
    ...["-netdev", lanPort(sockets), ...nic("lan", "52:54:00:bb:00:01")],
    ...["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"],
    ...["-kernel", plan.image.kernel, "-initrd", plan.image.initramfs, "-append", kernelCommandLine],
    ...(plan.ram.from === "saved" ? ["-incoming", "defer"] : []),
  ];
}

function ramObject(ram: Ram, memory: number): string {
  const size = `id=ram,size=${memory}M`;
  if (ram.from === "anonymous") return `memory-backend-ram,${size}`;
  return `memory-backend-file,${size},mem-path=${ram.file},share=${ram.from === "saving" ? "on" : "off"}`;
}

function lanPort(sockets: MachineSockets): string {
  const ends = `local.type=unix,local.path=${sockets.lan},remote.type=unix,remote.path=${sockets.peer}`;
  return `dgram,id=lan,${ends}`;
}
