/** Guests with systemd: clone and boot of one, and of many side by side. */
import { readFileSync, writeFileSync } from "node:fs";
import { until } from "../../test/support/world.ts";
import type { Bench } from "../bench.ts";

type Side = {
  readonly name: "berth" | "lxc";
  readonly clone: (name: string) => void;
  readonly start: (name: string) => void;
  readonly state: (name: string) => Promise<string | undefined>;
  readonly remove: (name: string) => void;
};

/** Milliseconds that a boot beside many others may take. */
const MOST = 600_000;

const asked = ["/usr/bin/systemctl", "is-system-running"] as const;

function sides({ berth, world, lxc }: Bench): readonly [Side, Side] {
  return [
    {
      name: "berth",
      clone: (name) => berth("clone", "base", name),
      start: (name) => berth("start", name),
      state: async (name) => (await world.berth("exec", name, "--", ...asked)).stdout.trim(),
      remove: (name) => berth("rm", "--force", name),
    },
    {
      name: "lxc",
      clone: (name) => lxc.run("copy", "-n", "debian-13", "-N", name, "-s", "-B", "overlay"),
      start: (name) => lxc.run("start", "-n", name, "-d"),
      // lxc-attach passes on the exit code, which is not 0 while it boots.
      state: async (name) =>
        (await lxc.ask("attach", "-n", name, "--", "/bin/sh", "-c", `${asked.join(" ")}; true`))?.trim(),
      remove: (name) => {
        lxc.run("stop", "-k", "-n", name);
        lxc.run("destroy", "-n", name);
      },
    },
  ];
}

/** Waits until the guest has booted; 50 ms between looks, on both sides. */
async function running(side: Side, name: string): Promise<void> {
  let said: string | undefined;
  await until(
    `${side.name}'s ${name} to be running`,
    async () => {
      said = await side.state(name);
      return said === "running" || said === "degraded";
    },
    MOST,
  );
  if (said !== "running") throw new Error(`${side.name}'s systemd guest is ${said}`);
}

async function withBase(bench: Bench, work: () => Promise<void>): Promise<void> {
  bench.berth("create", "base", "-t", "debian-13", "--disk", "1G");
  try {
    await work();
  } finally {
    bench.berth("rm", "--force", "base");
  }
}

/** Fills "berth clone to running" and "lxc-copy to running". */
export async function systemd(bench: Bench): Promise<void> {
  await withBase(bench, async () => {
    for (let round = 0; round < bench.sizes.few; round += 1)
      for (const side of sides(bench)) {
        const since = performance.now();
        side.clone("booting");
        side.start("booting");
        await running(side, "booting");
        bench.samples.add(
          side.name === "berth" ? "berth clone to running" : "lxc-copy to running",
          performance.now() - since,
        );
        side.remove("booting");
      }
  });
}

/** Fills "berth fleet" and "lxc fleet": from the first start until the last is running. */
export async function fleet(bench: Bench): Promise<void> {
  const names = Array.from({ length: bench.sizes.fleet }, (_, at) => `fleet-${at}`);
  await withBase(bench, async () => {
    for (const side of sides(bench)) {
      try {
        await withRoomForOneUser(async () => await boot(bench, side, names));
      } catch (error) {
        bench.samples.absent.set(
          `${side.name} fleet`,
          error instanceof Error ? error.message : String(error),
        );
      }
    }
  });
}

async function boot({ samples }: Bench, side: Side, names: readonly string[]): Promise<void> {
  const made: string[] = [];
  try {
    for (const name of names) {
      side.clone(name);
      made.push(name);
    }
    const since = performance.now();
    names.forEach(side.start);
    // One after the other: asking takes time from those that boot, and the last one counts.
    for (const name of names) await running(side, name);
    samples.add(`${side.name} fleet`, performance.now() - since);
  } finally {
    made.forEach(side.remove);
  }
}

/**
 * LXC's guests have one range of ids, and with it share what the kernel counts by user; with the kernel's own bounds
 * (128 inotify instances, 200 keys) services of some tens of guests fail and they come up degraded. These are as LXC's
 * and LXD's manuals want them on a host with many. berth's guests have ids of their own and need none of it.
 */
const roomForOneUser: Readonly<Record<string, number>> = {
  "/proc/sys/fs/inotify/max_user_instances": 1_048_576,
  "/proc/sys/fs/inotify/max_user_watches": 1_048_576,
  "/proc/sys/kernel/keys/maxkeys": 200_000,
  "/proc/sys/kernel/keys/maxbytes": 200_000_000,
};

async function withRoomForOneUser(work: () => Promise<void>): Promise<void> {
  const before = Object.keys(roomForOneUser).map((file) => [file, readFileSync(file, "utf8")] as const);
  for (const [file, value] of Object.entries(roomForOneUser)) writeFileSync(file, String(value));
  try {
    await work();
  } finally {
    for (const [file, value] of before) writeFileSync(file, value);
  }
}
