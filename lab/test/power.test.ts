/**
 * Power cuts: the host is killed in the middle of a command of several steps, and booted cold from the same disk. What
 * was reported done is there; what was not is whole or gone. BERTH_POWER_CUTS=N cuts more often, BERTH_POWER_SEED chooses where.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { needTemplates, templateCache } from "../../test/support/world.ts";
import { type Host, lab } from "../lab.ts";
import { berthPayload, giveBerth } from "../payload.ts";

const cuts = Number(process.env.BERTH_POWER_CUTS ?? 5);
const seed = Number(process.env.BERTH_POWER_SEED ?? 1);
const minutes = 60_000;
const memory = 1024;

const create = "berth create cut -t busybox --memory 64M --disk 64M";
/** A stopped container with data of its own. */
const written = `${create} 2>/dev/null; berth start cut && berth exec cut -- sh -c 'echo kept > /root/word; sync' && berth stop --kill cut`;
const snapshotted = `${written}; berth snapshot create cut s 2>/dev/null; berth start cut && berth exec cut -- sh -c 'echo new > /root/word; sync' && berth stop --kill cut`;

/**
 * What is cut, how to get there, the longest it takes here, in milliseconds, and what the container `cut` may hold
 * afterwards in its file `word`.
 */
const operations = [
  {
    name: "create",
    before: "berth rm --force cut 2>/dev/null; true",
    line: create,
    takes: 2500,
    words: [""],
  },
  {
    name: "snapshot create",
    before: written,
    line: "berth snapshot create cut s",
    takes: 2500,
    words: ["kept"],
  },
  { name: "clone", before: written, line: "berth clone cut copy", takes: 4000, words: ["kept"] },
  {
    name: "snapshot restore",
    before: snapshotted,
    line: "berth snapshot restore cut s",
    takes: 2500,
    words: ["kept", "new"],
  },
  {
    name: "set",
    before: `${create} 2>/dev/null; true`,
    line: "berth set cut --memory 128M --disk 128M",
    takes: 2000,
    words: [""],
  },
  { name: "move", before: snapshotted, line: "berth move cut plain", takes: 4000, words: ["new"] },
  {
    name: "start",
    before: `${create} 2>/dev/null; true`,
    line: "berth start cut",
    takes: 1500,
    words: [""],
  },
  {
    name: "backup",
    before: `${written}; rm -f /root/cut.tar.zst`,
    line: "berth backup cut /root/cut.tar.zst",
    takes: 4000,
    words: ["kept"],
  },
  {
    name: "rm",
    before: snapshotted,
    line: "berth rm --force cut",
    takes: 1500,
    words: ["new"],
  },
  {
    name: "suspend",
    before: `${create} 2>/dev/null; berth start cut && berth exec cut -- sh -c 'echo kept > /root/word; sync'`,
    line: "berth suspend cut",
    takes: 3000,
    words: ["kept"],
  },
  {
    name: "pool grow",
    before:
      "berth pool info --driver project >/dev/null 2>&1 || berth pool create --driver project --size 256M",
    line: "berth pool grow --driver project --size $(( $(stat -c %s /var/lib/berth/pool/project.img) + 64 * 1024 * 1024 ))",
    takes: 2000,
    words: [""],
  },
] as const;

let host: Host;
beforeAll(async () => {
  await needTemplates("busybox", "debian-12", "debian-13");
  await lab.prepare("debian-13", memory);
  host = await lab.host("h1", { kind: "debian-13", payload: await berthPayload(templateCache), memory });
  await giveBerth(host);
  // A container that every cut must leave alone, with data that was synced.
  await host.run(
    "berth create witness -t busybox --memory 64M --disk 64M --start && berth exec witness -- sh -c 'echo precious > /root/data; sync' && berth stop witness && sync",
    { timeout: 2 * minutes },
  );
});
afterAll(() => lab.close());

/** The same seed cuts at the same places, which lie all over the operation (mixed as by MurmurHash3's fmix32). */
function place(index: number): number {
  let mixed = Math.imul(seed, 7919) + index + 1;
  for (const factor of [0x85ebca6b, 0xc2b2ae35]) mixed = Math.imul(mixed ^ (mixed >>> 15), factor);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
}

for (let index = 0; index < cuts; index++) {
  const operation = operations[index % operations.length];
  if (operation === undefined) continue;
  const after = Math.round(place(index) * operation.takes);
  test(
    `cut ${index}: ${operation.name} after ${after} ms`,
    async () => {
      await host.run(`${operation.before}; sync`, { timeout: 2 * minutes });
      const running = host.run(operation.line, { timeout: 2 * minutes }).then(
        () => "done",
        () => "cut",
      );
      await Bun.sleep(after);
      await host.powerOff();
      const outcome = await running;
      await host.powerOn();
      await mustBeSound(operation, outcome === "done");
    },
    6 * minutes,
  );
}

async function mustBeSound(
  { name: operation, words }: (typeof operations)[number],
  done: boolean,
): Promise<void> {
  const listed = JSON.parse((await host.run("berth ls --json", { timeout: minutes })).stdout) as readonly {
    name: string;
    state: string;
    limits: { disk: number; memory: number };
  }[];
  const cut = listed.find(({ name }) => name === "cut");
  expect(listed.map(({ state }) => state)).not.toContain("broken");
  if (done && operation === "create") expect(cut).toBeDefined();
  if (done && operation === "rm") expect(cut).toBeUndefined();
  if (done && operation === "set")
    expect(cut?.limits).toMatchObject({ disk: 128 * 2 ** 20, memory: 128 * 2 ** 20 });
  if (done && operation === "snapshot create")
    expect(JSON.parse((await host.run("berth snapshot ls cut --json")).stdout)).toHaveLength(1);
  if (done && operation === "clone") expect(listed.map(({ name }) => name)).toContain("copy");
  if (operation === "backup") await mustBeWholeBackup(done);
  if (operation === "pool grow")
    await host.run("berth pool grow --driver project --size 1G && berth pool check --driver project", {
      timeout: 2 * minutes,
    });
  if (listed.some(({ name }) => name === "copy")) await mustStartWith("copy", words);
  // Whatever is listed works: it starts, runs a command, has the disk its settings say, and can be removed.
  if (cut !== undefined) {
    await mustStartWith("cut", words);
    const info = JSON.parse((await host.run("berth info cut --json")).stdout) as {
      disk: { size: number };
      limits: { disk: number };
    };
    expect(info.disk.size).toBeGreaterThan(info.limits.disk * 0.7);
    expect(info.disk.size).toBeLessThanOrEqual(info.limits.disk);
    await host.run("berth rm --force cut; berth rm --force copy 2>/dev/null; true", { timeout: 2 * minutes });
  }
  const data = await host.run(
    "berth start witness && berth exec witness cat /root/data && berth stop witness",
    { timeout: 2 * minutes },
  );
  expect(data.stdout).toContain("precious");
  // Nothing half made is left.
  expect(
    (
      await host.run(
        "ls /var/lib/berth/leases/uid | wc -l; ls /var/lib/berth/leases/ip | wc -l; ls /var/lib/berth/pool/image | wc -l; ls /var/lib/berth/pool/plain 2>/dev/null | wc -l",
      )
    ).stdout
      .trim()
      .split("\n"),
  ).toEqual(["1", "1", "1", "0"]);
}

async function mustStartWith(name: string, words: readonly string[]): Promise<void> {
  const { stdout } = await host.run(
    `berth start ${name} && berth exec ${name} -- sh -c 'echo alive > /root/alive; cat /root/word 2>/dev/null; true'`,
    { timeout: 2 * minutes },
  );
  expect([...words]).toContain(stdout.replace(/^.*started\n/, "").trim());
}

/** The file is there whole, or not at all. */
async function mustBeWholeBackup(done: boolean): Promise<void> {
  const { stdout } = await host.run(
    "ls /root/*.tar.zst* 2>/dev/null; test ! -e /root/cut.tar.zst || { berth restore /root/cut.tar.zst again && berth rm again; }",
    { timeout: 2 * minutes },
  );
  if (done) expect(stdout).toContain("/root/cut.tar.zst\n");
}
