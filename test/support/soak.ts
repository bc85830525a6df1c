/**
 * Kills berth's commands and keepers at random points and looks whether the next command ends in a sound state:
 * no guest runs twice, none is lost, nothing is left half made.
 *
 *   bun test/support/soak.ts SECONDS [SEED]
 */
import { readdirSync, readFileSync } from "node:fs";
import { containerPaths } from "../../src/base/paths.ts";
import { berthBinary, type Info, newWorld, until, type World } from "./world.ts";

export type SoakOptions = { readonly seconds: number; readonly seed: number };

/** Small linear congruential generator (Numerical Recipes): the same seed, the same run. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const marker = "victim";

/** Starts a command, kills it with SIGKILL after so many microseconds. True when it was killed. */
export async function killedAfter(
  world: World,
  args: readonly string[],
  milliseconds: number,
): Promise<boolean> {
  const child = Bun.spawn([berthBinary, ...args], { stdio: ["ignore", "ignore", "ignore"], env: world.env });
  const done = await Promise.race([child.exited.then(() => true), Bun.sleep(milliseconds).then(() => false)]);
  if (done) return false;
  child.kill("SIGKILL");
  await child.exited;
  return true;
}

/** Processes on the host that run as this container's root and are PID 1 of their pid namespace. */
function initsOf(baseUid: number): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, "utf8");
        return (
          status.includes(`\nUid:\t${baseUid}\t`) &&
          /\nNSpid:\t\d+\t1\n/.test(status) &&
          !/\nState:\tZ/.test(status)
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function mustBeSound(world: World, history: string): Promise<void> {
  const names = (await world.ok("ls", "--names")).split("\n").filter(Boolean);
  for (const name of names) {
    const { state, pid, baseUid } = await world.json<Info>("info", name);
    const inits = initsOf(baseUid);
    const expected = state === "stopped" ? [] : [pid];
    // An init may be on its way out in the moment of the look.
    if (JSON.stringify(inits) === JSON.stringify(expected)) continue;
    await Bun.sleep(500);
    const again = await world.json<Info>("info", name);
    if (JSON.stringify(initsOf(baseUid)) !== JSON.stringify(again.state === "stopped" ? [] : [again.pid])) {
      throw new Error(
        `after ${history}: ${name} is ${again.state} (${again.pid}) but has inits ${initsOf(baseUid).join(", ")}`,
      );
    }
  }
}

export async function soak(
  world: World,
  { seconds, seed }: SoakOptions,
): Promise<{ rounds: number; killed: number }> {
  const random = randomFrom(seed);
  const end = Date.now() + seconds * 1000;
  let rounds = 0;
  let killed = 0;
  while (Date.now() < end) {
    const history = `round ${rounds} of seed ${seed}`;
    rounds += 1;
    const after = random(600) / 10;
    // create: afterwards it is there whole, or not at all.
    killed += Number(await killedAfter(world, ["create", marker, "-t", "busybox", "--memory", "32M"], after));
    const there = (await world.ok("ls", "--names")).split("\n").includes(marker);
    if (!there) await world.ok("create", marker, "-t", "busybox", "--memory", "32M");
    await mustBeSound(world, `${history}, create killed after ${after} ms`);

    // start: afterwards it runs once, or is stopped and can be started.
    const startAfter = random(800) / 10;
    killed += Number(await killedAfter(world, ["start", marker], startAfter));
    await settle(world);
    if ((await world.json<Info>("info", marker)).state === "stopped") await world.ok("start", marker);
    await mustBeSound(world, `${history}, start killed after ${startAfter} ms`);
    await world.sh(marker, "echo alive");

    // keeper: its guest lives on, and every command still works on it.
    if (random(2) === 0) {
      const keeper = Number(readFileSync(containerPaths(marker, world.at).init, "utf8").split(" ")[3]);
      process.kill(keeper, "SIGKILL");
      await until(
        "the keeper's death to be seen",
        async () => (await world.json<Info>("info", marker)).unattended,
        5000,
      );
      await world.sh(marker, "echo alive");
      killed += 1;
    }
    if (random(2) === 0) {
      const stopAfter = random(500) / 10;
      killed += Number(await killedAfter(world, ["stop", "--kill", marker], stopAfter));
      await settle(world);
      await mustBeSound(world, `${history}, stop killed after ${stopAfter} ms`);
    }

    // rm: afterwards it is gone, or whole.
    const rmAfter = random(600) / 10;
    killed += Number(await killedAfter(world, ["rm", "--force", marker], rmAfter));
    if ((await world.ok("ls", "--names")).split("\n").includes(marker))
      await world.ok("rm", "--force", marker);
    await mustBeSound(world, `${history}, rm killed after ${rmAfter} ms`);
  }
  return { rounds, killed };
}

/** A start that was killed may still be decided by berth-launch, which holds the lock; a command that takes it waits. */
async function settle(world: World): Promise<void> {
  await world.berth("set", marker, "--description", "settled");
}

if (import.meta.main) {
  const [seconds = "600", seed = String(Date.now() % 1e6)] = process.argv.slice(2);
  const world = await newWorld("busybox");
  try {
    const result = await soak(world, { seconds: Number(seconds), seed: Number(seed) });
    process.stdout.write(`${result.rounds} rounds, ${result.killed} kills, seed ${seed}: sound\n`);
  } finally {
    await world.end();
  }
}
