/**
 * A saved host: booted once with its RAM in a sparse file of the cache, stopped, its device state and disk kept beside it.
 * Every test host maps that RAM privately and goes on from there in seconds. Nothing ever lies in /dev/shm: a file of the cache
 * is in the page cache anyway, and QEMU leaves only memory that is a named file out of the device state.
 */
import { unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { cached, digest } from "./cache.ts";
import { command } from "./command.ts";
import { limits, retry } from "./deadline.ts";
import { createDisks } from "./disks.ts";
import { labError } from "./error.ts";
import { execute } from "./exec.ts";
import { type Image, olderKept } from "./image.ts";
import type { KindName } from "./kinds.ts";
import { type Machine, type MachinePlan, machineArguments, machineSockets, startMachine } from "./machine.ts";
import { step } from "./progress.ts";
import type { Qemu } from "./qemu.ts";
import type { Qmp } from "./qmp.ts";
import { openSession } from "./session.ts";

export interface SavedHost {
  readonly ram: string;
  readonly deviceState: string;
  readonly rootDisk: string;
}

/** The saved host for a kind and memory size, made first when it is not in the cache. */
export async function ensureSaved(
  kind: KindName,
  image: Image,
  qemu: Qemu,
  memory: number,
): Promise<SavedHost> {
  const shape = machineArguments(templatePlan(image, qemu, memory, "", "")).filter(
    (word) => !word.startsWith("/"),
  );
  const key = digest(image.key, qemu.version, ...shape);
  const build = (fresh: string): Promise<void> =>
    step(`booting and saving a ${kind} host (once)`, () => save(fresh, image, qemu, memory));
  const dir = await cached(`saved-${kind}-${memory}`, key, build, olderKept);
  return savedIn(dir);
}

function savedIn(dir: string): SavedHost {
  return { ram: join(dir, "ram"), deviceState: join(dir, "device-state"), rootDisk: join(dir, "root.qcow2") };
}

function templatePlan(image: Image, qemu: Qemu, memory: number, dir: string, socketDir: string): MachinePlan {
  return {
    qemu,
    image,
    memory,
    ram: { from: "saving", file: savedIn(dir).ram },
    disks: {
      root: join(dir, "root.qcow2"),
      scratch: [join(dir, "scratch0"), join(dir, "scratch1")],
      payload: join(dir, "payload"),
    },
    serialLog: join(dir, "serial.log"),
    errorLog: join(dir, "qemu.log"),
    sockets: machineSockets(socketDir, "saved", "nobody"),
  };
}

async function save(dir: string, image: Image, qemu: Qemu, memory: number): Promise<void> {
  const session = openSession();
  const plan = templatePlan(image, qemu, memory, dir, session.socketDir);
  try {
    await createDisks(qemu, plan.disks, { path: image.rootDisk, format: "raw" });
    await command(["truncate", "-s", "2G", plan.disks.payload]);
    const machine = await startMachine(plan);
    try {
      await bootAndWarm(machine, plan);
      await suspend(machine, savedIn(dir));
    } finally {
      await machine.kill();
    }
    await command(["fallocate", "--dig-holes", savedIn(dir).ram]);
    for (const path of [...plan.disks.scratch, plan.disks.payload]) unlinkSync(path);
  } finally {
    await session.end();
  }
}

async function bootAndWarm(machine: Machine, plan: MachinePlan): Promise<void> {
  try {
    await machine.agent.ping(limits.boot);
  } catch (error) {
    throw labError(
      "the new host did not boot",
      [{ title: "console", text: await Bun.file(plan.serialLog).text() }],
      error,
    );
  }
  const warm = await execute(machine.agent, ["/usr/local/sbin/lab-warm"], { timeout: limits.boot });
  await Bun.write(join(dirname(plan.serialLog), "warm.log"), warm.stdout + warm.stderr);
}

/** Stops the machine and writes its RAM and device state. RAM is left out of the migration stream (x-ignore-shared). */
async function suspend(machine: Machine, saved: SavedHost): Promise<void> {
  await machine.qmp.execute("stop");
  await ignoreSharedRam(machine.qmp);
  await machine.qmp.execute("migrate", { uri: `file:${saved.deviceState}` });
  await retry(limits.restore, 20, async () => {
    const { status } = (await machine.qmp.execute("query-migrate")) as { status?: string };
    if (status !== "completed") throw labError(`saving the host's device state: ${status}`);
  });
}

/** Leaves RAM that the machine maps from a file out of migration, on both sides. */
export async function ignoreSharedRam(qmp: Qmp): Promise<void> {
  await qmp.execute("migrate-set-capabilities", {
    capabilities: [{ capability: "x-ignore-shared", state: true }],
  });
}

/** Goes on from a saved host's RAM and device state. The agent's end is connected before the guest moves. */
export async function wakeUp(plan: Omit<MachinePlan, "ram">, saved: SavedHost): Promise<Machine> {
  const machine = await startMachine({ ...plan, ram: { from: "saved", file: saved.ram } });
  try {
    await ignoreSharedRam(machine.qmp);
    await machine.qmp.execute("migrate-incoming", { uri: `file:${saved.deviceState}` });
    await retry(limits.restore, 10, async () => {
      const { status } = (await machine.qmp.execute("query-status")) as { status: string };
      if (status === "inmigrate") throw labError("the saved host's device state is not loaded");
    });
    await machine.qmp.execute("cont");
    await machine.agent.ping(limits.restore);
    return machine;
  } catch (error) {
    await machine.kill();
    throw error;
  }
}
