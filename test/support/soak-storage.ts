/**
 * Kills the commands of more than one step that work on disks (snapshot, restore, clone, rename, move) at random points, and
 * looks whether the next command finds a sound state: what the guest had written is there, as of before or after, and no
 * volume or layer is left that belongs to nobody.
 *
 *   bun test/support/soak-storage.ts SECONDS [SEED]
 */
import { readdirSync } from "node:fs";
import { killedAfter, randomFrom, type SoakOptions } from "./soak.ts";
import { newWorld, type World } from "./world.ts";

const other = { image: "plain", plain: "image" } as const;
type Driver = keyof typeof other;

export async function soakStorage(
  world: World,
  { seconds, seed }: SoakOptions,
): Promise<{ rounds: number; killed: number }> {
  const random = randomFrom(seed);
  const end = Date.now() + seconds * 1000;
  let rounds = 0;
  let killed = 0;
  let driver: Driver = "image";
  await world.ok("create", "v", "-t", "busybox", "--network", "none", "--disk", "64M", "--storage", driver);
  while (Date.now() < end) {
    rounds += 1;
    const history = `round ${rounds} of seed ${seed}`;
    const cut = async (...args: readonly string[]): Promise<void> => {
      const after = random(1500) / 10;
      if (await killedAfter(world, args, after)) killed += 1;
    };
    const word = `${rounds}`;
    if (names(await world.ok("ls", "--names")).includes("w")) await world.ok("rm", "-f", "w");
    const running = random(3) === 0;
    await write(world, word);
    if (!running) await world.ok("stop", "--kill", "v");

    await cut("snapshot", "create", "v", "s");
    await mustHold(world, history, "v", [word]);
    if ((await snapshots(world)).length === 0) await world.ok("snapshot", "create", "v", "s");
    await write(world, `${word}+`);
    await world.ok("stop", "--kill", "v");
    await cut("clone", "v", "w");
    await mustHold(world, history, "v", [`${word}+`]);
    if (names(await world.ok("ls", "--names")).includes("w"))
      await mustHold(world, history, "w", [`${word}+`]);
    await cut("snapshot", "restore", "v", "s");
    await mustHold(world, history, "v", [word, `${word}+`]);
    await world.ok("snapshot", "restore", "v", "s");
    await mustHold(world, history, "v", [word]);
    await cut("move", "v", other[driver]);
    await mustHold(world, history, "v", [word]);
    driver = (await world.json<{ storage: Driver }>("info", "v")).storage;
    await cut("rename", "v", "u");
    await world.berth("rename", "u", "v");
    await mustHold(world, history, "v", [word]);
    await cut("snapshot", "rm", "v", "s");
    await world.berth("snapshot", "rm", "v", "s");
    await mustHold(world, history, "v", [word]);
    await mustOwnAll(world, history);
  }
  // The lock of a name that no container came to have goes with one that does.
  if ((await world.berth("create", "u", "-t", "busybox")).code === 0) await world.ok("rm", "u");
  return { rounds, killed };
}

const names = (text: string): readonly string[] => text.split("\n").filter(Boolean);

const snapshots = async (world: World): Promise<readonly unknown[]> =>
  await world.json<readonly unknown[]>("snapshot", "ls", "v");

/** Leaves it running. */
async function write(world: World, word: string): Promise<void> {
  if ((await world.json<{ state: string }>("info", "v")).state === "stopped") await world.ok("start", "v");
  await world.sh("v", `echo ${word} > /root/word.new && mv /root/word.new /root/word && sync`);
}

/** The guest, started if need be and stopped again, has one of the words. */
async function mustHold(
  world: World,
  history: string,
  name: string,
  wanted: readonly string[],
): Promise<void> {
  const running = (await world.json<{ state: string }>("info", name)).state === "running";
  if (!running) await world.ok("start", name);
  const found = await world.sh(name, "cat /root/word");
  if (!running) await world.ok("stop", "--kill", name);
  if (!wanted.includes(found))
    throw new Error(`${history}: ${name} has ${found} instead of ${wanted.join(" or ")}`);
}

/** Every volume and layer in the pools belongs to somebody, once what was cut short is settled. */
async function mustOwnAll(world: World, history: string): Promise<void> {
  // A command that removes something sweeps what others have left.
  await world.ok("snapshot", "create", "v", "sweep");
  await world.ok("snapshot", "rm", "v", "sweep");
  const list = await world.json<readonly { uuid: string; layers: readonly { id: string }[] }[]>("ls");
  const owned = new Set(list.flatMap(({ uuid, layers }) => [uuid, ...layers.map(({ id }) => id)]));
  const there = (["image", "plain"] as const).flatMap((driver) =>
    listed(`${world.at.lib}/pool/${driver}`).map((file) => file.replace(/\.img$/, "")),
  );
  const orphans = there.filter((id) => !owned.has(id));
  if (orphans.length > 0) throw new Error(`${history}: left in the pool: ${orphans.join(", ")}`);
}

function listed(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

if (import.meta.main) {
  const [seconds = "600", seed = String(Date.now() % 1e6)] = process.argv.slice(2);
  const world = await newWorld("busybox");
  try {
    const result = await soakStorage(world, { seconds: Number(seconds), seed: Number(seed) });
    process.stdout.write(`${result.rounds} rounds, ${result.killed} kills, seed ${seed}: sound\n`);
  } finally {
    await world.end();
  }
}
