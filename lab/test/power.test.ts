/**
 * Power cuts: the host is killed in the middle of create, start, set and rm, and booted cold from the same disk. What
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

/** What is cut, how to get there, and the longest it takes here, in milliseconds. */
const operations = [
  {
    name: "create",
    before: "berth rm --force cut 2>/dev/null; true",
    line: "berth create cut -t busybox --memory 64M --disk 64M",
    takes: 2500,
  },
  {
    name: "start",
    before: "berth create cut -t busybox --memory 64M --disk 64M 2>/dev/null; true",
    line: "berth start cut",
    takes: 1500,
  },
  {
    name: "set",
    before: "berth create cut -t busybox --memory 64M --disk 64M 2>/dev/null; true",
    line: "berth set cut --memory 128M --disk 128M",
    takes: 2000,
  },
  {
    name: "rm",
    before: "berth create cut -t busybox --memory 64M --disk 64M 2>/dev/null; true",
    line: "berth rm --force cut",
    takes: 1500,
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

/** Linear congruential (Numerical Recipes): the same seed cuts at the same places. */
const place = (index: number): number =>
  ((Math.imul(seed * 7919 + index, 1664525) + 1013904223) >>> 0) / 2 ** 32;

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
      await mustBeSound(operation.name, outcome === "done");
    },
    6 * minutes,
  );
}

async function mustBeSound(operation: string, done: boolean): Promise<void> {
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
  // Whatever is listed works: it starts, runs a command, has the disk its settings say, and can be removed.
  if (cut !== undefined) {
    await host.run("berth start cut && berth exec cut -- sh -c 'echo alive > /root/alive'", {
      timeout: 2 * minutes,
    });
    const info = JSON.parse((await host.run("berth info cut --json")).stdout) as {
      disk: { size: number };
      limits: { disk: number };
    };
    expect(info.disk.size).toBeGreaterThan(info.limits.disk * 0.7);
    expect(info.disk.size).toBeLessThanOrEqual(info.limits.disk);
    await host.run("berth rm --force cut", { timeout: 2 * minutes });
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
        "ls /var/lib/berth/leases/uid | wc -l; ls /var/lib/berth/leases/ip | wc -l; ls /var/lib/berth/pool/image | wc -l",
      )
    ).stdout
      .trim()
      .split("\n"),
  ).toEqual(["1", "1", "1"]);
}
