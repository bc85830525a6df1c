/** Makes hosts: from the saved one of a kind to one that a test can use, and through its power cycles. */
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { get, put } from "./copy.ts";
import { limits, within } from "./deadline.ts";
import { evidence, readJournal } from "./diagnosis.ts";
import { createDisks, payloadDisk } from "./disks.ts";
import { labError, tail } from "./error.ts";
import { argvOf, type ExecResult, execute } from "./exec.ts";
import { freePort } from "./free-port.ts";
import { fillScript, mountPayload } from "./guest-scripts.ts";
import { defaultMemory, type Host, type HostOptions } from "./host.ts";
import { ensureImage } from "./image.ts";
import { type Machine, type MachinePlan, machineSockets, startMachine } from "./machine.ts";
import { findQemu } from "./qemu.ts";
import { ensureSaved, type SavedHost, wakeUp } from "./saved.ts";
import type { Session } from "./session.ts";

/** A host's place on its LAN. */
export interface Seat {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly mac: string;
  readonly peer: { readonly id: string; readonly name: string; readonly address: string };
}

type HostPlan = Omit<MachinePlan, "ram">;

/** Makes a host from the saved one of its kind: ready in seconds. */
export async function makeHost(session: Session, seat: Seat, options: HostOptions = {}): Promise<Host> {
  const { plan, saved } = await prepareDisks(session, seat, options);
  const power = powerOf(seat.name, plan, await wakeUp(plan, saved));
  const { name } = seat;
  const agent = () => power.machine().agent;

  const run: Host["run"] = async (command, { allow = [], ...limitAndInput } = {}) => {
    const shown = shorten(typeof command === "string" ? command : command.join(" "));
    const result = await execute(agent(), argvOf(command), limitAndInput).catch(async (error: unknown) => {
      throw labError(`${name}: ${shown}: the host ended`, await evidence(name, plan, undefined), error);
    });
    const { late, code, stdout, stderr } = result;
    if (!late && (code === 0 || allow === true || allow.includes(code))) return { code, stdout, stderr };
    throw labError(`${name}: ${shown}: ${howItEnded(result, limitAndInput.timeout ?? limits.command)}`, [
      { title: "stdout", text: tail(stdout, 40) },
      { title: "stderr", text: tail(stderr, 40) },
      ...(await evidence(name, plan, late === "silent" ? undefined : agent())),
    ]);
  };

  const introduce = async (): Promise<void> => {
    await run(introduction(seat), { timeout: limits.restore });
    if (options.payload) await run(mountPayload);
  };

  const host: Host = {
    name,
    run,
    kind: options.kind ?? "debian-13",
    address: seat.address,
    pid: () => (power.isOn() ? power.machine().pid : undefined),
    open: (command, terminal, output) =>
      agent().start(argvOf(command), { stdout: output, stderr: output }, terminal),
    put: (local, remote) => put(agent(), local, remote),
    get: (remote, local) => get(agent(), remote, local),
    console: () => Bun.file(plan.serialLog).text(),
    journal: async (lines = 200) => readJournal(agent(), lines),
    shutDown: async () => {
      await run("systemctl poweroff --no-block");
      await power.waitOff();
    },
    powerOff: power.cut,
    powerOn: async () => {
      await power.boot();
      await introduce();
    },
    fillDisk: async (path, leaveBytes) => {
      await run(fillScript(path, leaveBytes));
      return `${path}/.lab-filling`;
    },
    jumpClock: async (seconds) => {
      await run(`date --set "@$(($(date +%s) + ${Math.trunc(seconds)}))"`);
    },
    forward: async (guestPort) => {
      const port = await freePort();
      const line = `hostfwd_add user tcp:127.0.0.1:${port}-:${guestPort}`;
      const answer = await power.machine().qmp.execute("human-monitor-command", { "command-line": line });
      if (answer !== "") throw labError(`${name}: forwarding port ${guestPort}: ${answer}`);
      return port;
    },
    close: async () => {
      if (power.isOn()) await power.cut();
      const { root, scratch } = plan.disks;
      for (const path of [root, ...scratch, plan.serialLog, plan.errorLog]) rmSync(path, { force: true });
    },
    [Symbol.asyncDispose]: () => host.close(),
  };

  await introduce().catch(async (error: unknown) => {
    await host.close();
    throw error;
  });
  return host;
}

/** Fresh disks over the saved host's. */
async function prepareDisks(
  session: Session,
  seat: Seat,
  options: HostOptions,
): Promise<{ readonly plan: HostPlan; readonly saved: SavedHost }> {
  const kind = options.kind ?? "debian-13";
  const memory = options.memory ?? defaultMemory;
  const own = (file: string): string => join(session.diskDir, `${seat.id}.${file}`);
  const qemu = await findQemu();
  const image = await ensureImage(kind);
  const saved = await ensureSaved(kind, image, qemu, memory);
  const payload = await payloadDisk(options.payload);
  const disks = { root: own("root.qcow2"), scratch: [own("scratch0"), own("scratch1")], payload } as const;
  await createDisks(qemu, disks, { path: saved.rootDisk, format: "qcow2" });
  const sockets = machineSockets(session.socketDir, seat.id, seat.peer.id);
  const plan = { qemu, image, memory, disks, sockets, serialLog: own("serial"), errorLog: own("qemu") };
  return { plan, saved };
}

interface Power {
  readonly isOn: () => boolean;
  /** Throws when the host is off. */
  readonly machine: () => Machine;
  readonly cut: () => Promise<void>;
  readonly waitOff: () => Promise<void>;
  readonly boot: () => Promise<void>;
}

/** The host's power switch: one machine after another on the same disks. */
function powerOf(name: string, plan: HostPlan, first: Machine): Power {
  let current: Machine | undefined = first;
  const machine = (): Machine => {
    if (!current) throw labError(`host ${name} is off`);
    return current;
  };
  const disconnect = (): void => {
    current?.agent.close();
    current?.qmp.close();
    current = undefined;
  };
  return {
    isOn: () => current !== undefined,
    machine,
    cut: async () => {
      await machine().kill();
      disconnect();
    },
    waitOff: async () => {
      await within(limits.boot, machine().exited, async () => {
        throw labError(`host ${name} does not shut down`, await evidence(name, plan, undefined));
      });
      disconnect();
    },
    boot: async () => {
      if (current) throw labError(`host ${name} is on already`);
      current = await startMachine({ ...plan, ram: { from: "anonymous" } });
      await current.agent.ping(limits.boot).catch(async (error: unknown) => {
        throw labError(`host ${name} does not come up`, await evidence(name, plan, undefined), error);
      });
    },
  };
}

/** lab-introduce's command line: who the host is, what time it is, and randomness of its own. */
function introduction({ name, address, mac, peer }: Seat): readonly string[] {
  const now = (Date.now() / 1000).toFixed(3);
  const seed = randomBytes(32).toString("hex");
  return ["/usr/local/sbin/lab-introduce", name, address, mac, now, seed, peer.address, peer.name];
}

function howItEnded({ late, code }: ExecResult, limit: number): string {
  if (!late) return `exit code ${code}`;
  const over = `not done within ${limit / 1000} s`;
  return late === "killed" ? over : `${over}, and the host does not answer any more`;
}

function shorten(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
