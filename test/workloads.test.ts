/** What people run in guests goes on through a suspend: databases, servers, timers, services with all locks on, a user's own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { sha256 } from "../src/base/digest.ts";
import { findCriu } from "../src/checkpoint/program.ts";
import { berthBinary, type Info, newWorld, run, until, type World } from "./support/world.ts";

const criu = await findCriu();
/** Its template takes minutes to build and half a gigabyte to keep. */
const inCi = (process.env.CI ?? "") !== "";
const because = inCi ? "left out of CI" : "fault" in criu ? criu.fault : "";
const why = because === "" ? "" : `SKIP: ${because}: `;
const checked = test.skipIf(why !== "");
const name = "w";

/** Its template by the release of Debian that it is. */
const templates = [
  [13, "workloads"],
  [12, "workloads-12"],
] as const;

describe.each(templates)("Debian %d", (release, template) => {
  let world: World;
  beforeAll(async () => {
    if (why !== "") return;
    world = await newWorld(template);
    await world.ok("create", name, "-t", template, "--start");
    await world.booted(name);
    const script = readFileSync(`${import.meta.dir}/support/workloads.sh`);
    const { code, stderr } = await run([berthBinary, "exec", name, "--", "sh", "-s"], {
      env: world.env,
      input: script,
    });
    expect([code, stderr]).toEqual([0, ""]);
  }, 600_000);
  afterAll(async () => {
    if (why === "") await world.end();
  });

  const inGuest = (line: string): Promise<string> => world.sh(name, line);
  const sql = (words: string): Promise<string> => inGuest(`su postgres -c 'cd /; psql -qtAXc "${words}"'`);
  const count = async (path: string): Promise<number> => Number(await inGuest(`wc -l < ${path}`));

  /** A connection to the guest, and all that came over it. */
  async function dial(port: number, words: string) {
    const { address } = await world.json<Info>("info", name);
    const parts: Buffer[] = [];
    let fault = "";
    const socket: Socket = connect(port, address, () => socket.write(words));
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.on("error", ({ message }) => {
      fault = message;
    });
    return {
      say: (more: string) => socket.write(more),
      heard: () => Buffer.concat(parts),
      fault: () => fault,
      end: () => socket.destroy(),
    };
  }

  // Its systemd gives such a service a mount namespace where /tmp is nobody's.
  if (release === 13)
    checked(
      `${why}a service that hides a part of a file system is named beforehand, with its cure`,
      async () => {
        const { code, stdout } = await world.berth("checkable", name);
        expect([code, stdout]).toEqual([
          5,
          expect.stringMatching(/dynamic\.service +has a \/\S*tmp of its own.*PrivateTmp=yes/),
        ]);
        expect((await world.berth("suspend", name)).stderr).toContain("dynamic.service");
        await inGuest(
          `mkdir /etc/systemd/system/dynamic.service.d; printf '[Service]\\nPrivateTmp=yes\\n' > /etc/systemd/system/dynamic.service.d/tmp.conf
     systemctl daemon-reload; systemctl restart dynamic`,
        );
        await until(
          "nothing to stand in the way",
          async () => (await world.berth("checkable", name)).code === 0,
          10_000,
        );
      },
    );

  checked(`${why}databases, servers, timers, locked services and a user's own go on`, async () => {
    const sum = await inGuest("sha256sum /var/www/html/much | cut -d' ' -f1");
    const download = await dial(80, "GET /much HTTP/1.0\r\n\r\n");
    const pop = await dial(6379, "BLPOP queue 0\r\n");
    const node = await dial(8000, "GET / HTTP/1.1\r\nHost: g\r\n\r\n");
    await until("node to answer", () => node.heard().toString().endsWith("1"), 20_000);
    await until("the download to begin", () => download.heard().length > 500_000, 20_000);
    expect(download.heard().length).toBeLessThan(5_500_000);
    expect(await sql("select count(*) from t")).toBe("0");
    const minutes = await count("/var/log/minutes").catch(() => 0);

    await world.ok("suspend", name);
    await Bun.sleep(500);
    await world.ok("resume", name);

    await inGuest("redis-cli rpush queue word >/dev/null; touch /run/go");
    node.say("GET / HTTP/1.1\r\nHost: g\r\n\r\n");
    await until("redis to hand it over", () => pop.heard().toString().includes("word"), 20_000);
    await until("node to answer again", () => node.heard().toString().endsWith("2"), 20_000);
    await until("the transaction", async () => (await sql("select count(*) from t")) === "2", 20_000);
    await until("the download to end", () => download.heard().length > 6_000_000, 30_000);
    const body = download.heard();
    expect(sha256(body.subarray(body.indexOf("\r\n\r\n") + 4))).toBe(sum);
    expect([download, pop, node].map(({ fault }) => fault())).toEqual(["", "", ""]);
    for (const one of [download, pop, node]) one.end();

    const counters = ["/var/lib/hardened/count", "/var/lib/private/dynamic/count"];
    const before = await Promise.all(counters.map((path) => inGuest(`cat ${path}`)));
    const ticks = await count("/home/someone/ticks");
    await until("a user's timer", async () => (await count("/home/someone/ticks")) > ticks + 1, 10_000);
    const after = await Promise.all(counters.map((path) => inGuest(`cat ${path}`)));
    expect(after.every((value, index) => Number(value) > Number(before[index]))).toBe(true);
    expect(await inGuest("systemctl is-system-running; systemctl is-active transaction || true")).toBe(
      "running\ninactive",
    );
    expect(
      await inGuest("su someone -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user is-system-running'"),
    ).toBe("running");
    await until(
      "cron's next minute",
      async () => (await count("/var/log/minutes").catch(() => 0)) > minutes,
      70_000,
    );
  });
});
