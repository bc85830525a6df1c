/**
 * What people run goes there and back with them, again and again: a database under load, a download, a login, datagrams. Their
 * clients, in a third place, lose nothing that was promised to them. BERTH_LAB_ROUNDS says how often; without it, not at all.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sha256 } from "../../src/base/digest.ts";
import { templateCache } from "../../test/support/world.ts";
import { type Host, lab, type Pair } from "../lab.ts";
import { whyNotOnDebian13 } from "./asked.ts";
import {
  inGuest,
  json,
  limitsOf,
  makeGuest,
  minutes,
  move,
  mustBeEmpty,
  mustGoOn,
  pairOnLan,
  SUBNET,
} from "./lan-pair.ts";

const rounds = Number(process.env.BERTH_LAB_ROUNDS ?? 0);
const why = rounds === 0 ? "SKIP: it takes long, BERTH_LAB_ROUNDS=N asks for it: " : whyNotOnDebian13;
const checked = test.skipIf(why !== "");
const HOME = "/root/clients";

let pair: Pair;
let h1: Host;
let h2: Host;

/** The template's digest and, on this machine, its files. */
const digest = (): string =>
  readFileSync(join(templateCache, "var/lib/templates/names/servers"), "utf8").trim();
const rootfs = (): string => join(templateCache, "var/lib/templates", digest(), "rootfs");

/** What nginx is asked for: the first bytes of a program of the template. */
const MUCH = 50_000_000;
function sumOfDownload(): string {
  const [path = ""] = new Bun.Glob("usr/lib/*/libLLVM.so.*").scanSync(rootfs());
  return sha256(readFileSync(join(rootfs(), path)).subarray(0, MUCH));
}

beforeAll(async () => {
  if (why !== "") return;
  pair = await pairOnLan("servers");
  ({ h1, h2 } = pair);
  await makeGuest(h1, "-t servers --memory 640M --cpus 1.5 --pids 500 --disk 600M --quota-users yes");
  const { stdout: key } = await h1.run(
    `mkdir ${HOME}; ssh-keygen -q -t ed25519 -N '' -f ${HOME}/key; cat ${HOME}/key.pub`,
  );
  const script = readFileSync(join(import.meta.dir, "servers.sh"));
  await h1.run(["berth", "exec", "web1", "--", "sh", "-s", key.trim(), `${SUBNET}.0/24`], {
    stdin: script,
    timeout: 5 * minutes,
  });
  await h1.run("berth quota set web1 --user full --disk 2M");
  await h1.put(join(import.meta.dir, "clients.pl"), `${HOME}/clients.pl`);
}, 20 * minutes);
afterAll(() => lab.close());

/** The template's programs are the clients', in the third place. */
async function startClient(what: string): Promise<void> {
  const { address } = await json<{ address: string }>(h1, "info web1").catch(
    async () => await json<{ address: string }>(h2, "info web1"),
  );
  await h1.run([
    ...["systemd-run", "--quiet", "--collect", `--unit=client-${what}`],
    ...[
      `RootDirectory=/payload/templates/var/lib/templates/${digest()}/rootfs`,
      "MountAPIVFS=yes",
      `BindReadOnlyPaths=${HOME}:/mnt`,
      "NetworkNamespacePath=/run/netns/third",
      `StandardOutput=truncate:${HOME}/${what}.log`,
    ].map((one) => `--property=${one}`),
    ...["perl", "/mnt/clients.pl", what, address],
  ]);
}

const lastWord = async (what: string): Promise<string> =>
  (await h1.run(`tail -n 1 ${HOME}/${what}.log`)).stdout.trim();

/** Waits until a client says something that fits. */
async function hear(what: string, fits: (said: string) => boolean): Promise<string> {
  let said = "";
  for (const end = Date.now() + 3 * minutes; Date.now() < end; await Bun.sleep(500)) {
    said = await lastWord(what);
    if (said.startsWith("fault")) break;
    if (fits(said)) return said;
  }
  throw new Error(`${what} stands at ${JSON.stringify(said)}`);
}

const clients = ["ledger", "bench", "session", "echo"] as const;

/** Each has come further than it was. */
async function allGoOn(): Promise<string> {
  const said = await Promise.all(
    [...clients, "download"].map(async (what) => {
      const before = await lastWord(what);
      return `${what} ${await hear(what, (now) => now !== before)}`;
    }),
  );
  return said.join("; ");
}

/** Processes, identity and limits as before: the same on either side. */
async function facts(host: Host) {
  const units = ["postgresql@*", "nginx", "ssh", "echo"].map((unit) => `systemctl show -P MainPID '${unit}'`);
  return {
    guest: await inGuest(
      host,
      `${units.join("; ")}; cat /etc/machine-id /proc/sys/kernel/random/boot_id; df -k --output=size /; ip -o link show eth0 | grep -o 'ether [^ ]*'`,
    ),
    limits: await limitsOf(host),
    layers: await json<{ layers: readonly unknown[] }>(host, "info web1 --security").then(
      ({ layers }) => layers,
    ),
  };
}

/** Every process of the guest's is under its profile; one of its users has no more room than it was given. */
async function mustBeBound(host: Host): Promise<void> {
  const { uuid } = await json<{ uuid: string }>(host, "info web1");
  const { stdout } = await host.run(
    `cd /sys/fs/cgroup/berth.slice/web1/guest && cat $(find -name cgroup.procs) | while read pid; do cat /proc/$pid/attr/apparmor/current; done | sort | uniq`,
  );
  expect(stdout.trim()).toBe(`berth-${uuid} (enforce)`);
  expect(
    await inGuest(
      host,
      "su full -c 'LC_ALL=C dd if=/dev/zero of=/home/full/file bs=1M count=4' 2>&1 | grep -o 'Disk quota exceeded'; rm /home/full/file",
    ),
  ).toBe("Disk quota exceeded");
}

checked(
  `${why}a database, a download, a login and datagrams go there and back ${rounds} times and lose nothing`,
  async () => {
    for (const what of clients) await startClient(what);
    const before = await facts(h1);
    expect(before.limits).toEqual([String(640 * 2 ** 20), "150000 100000", "500"]);
    for (let round = 1; round <= rounds; round++) {
      await h1.run(`rm -f ${HOME}/hurry`);
      await startClient("download");
      for (const [from, to] of [
        [h1, h2],
        [h2, h1],
      ] as const) {
        await allGoOn();
        const stages = await move(from, to);
        const said = await allGoOn();
        process.stderr.write(
          `  round ${round}, ${from.name} to ${to.name}: ${stages}\n    ${said.replaceAll("; ", "\n    ")}\n`,
        );
        await mustBeEmpty(from);
        expect(await facts(to)).toEqual(before);
        await mustGoOn(to);
        await mustBeBound(to);
      }
      await h1.run(`touch ${HOME}/hurry`);
      expect(await hear("download", (said) => said.startsWith("done"))).toBe(
        `done ${MUCH} ${sumOfDownload()}`,
      );
    }
  },
  (5 + 8 * rounds) * minutes,
);

checked(
  `${why}what the database had acknowledged is there once, and nothing else`,
  async () => {
    await h1.run(`touch ${HOME}/end`);
    const ended = async (what: string): Promise<readonly string[]> =>
      (await hear(what, (said) => said.startsWith("done"))).split(" ").slice(1);
    await ended("session");
    const [rows] = await ended("ledger");
    const [transactions] = await ended("bench");
    const [came, sent] = await ended("echo");
    const sql = async (words: string): Promise<string> =>
      await inGuest(h1, `su postgres -c 'cd /; psql -qtAXc "${words}" bench'`);
    expect(await sql("select count(*), count(distinct n), min(n), max(n) from ledger")).toBe(
      `${rows}|${rows}|1|${rows}`,
    );
    expect(await sql("select count(*) from pgbench_history")).toBe(String(transactions));
    const sums = ["accounts", "tellers", "branches"].map(
      (table) => `(select sum(${table[0]}balance) from pgbench_${table})`,
    );
    const delta = await sql("select sum(delta) from pgbench_history");
    expect(await sql(`select ${sums.join(", ")}`)).toBe([delta, delta, delta].join("|"));
    process.stderr.write(
      `  ${rows} rows and ${transactions} transactions acknowledged and there; ${came} of ${sent} datagrams came back\n`,
    );
  },
  5 * minutes,
);

checked(
  `${why}its disk limit holds where it came from and went to, and the audit finds nothing open`,
  async () => {
    await h1.run("berth migrate web1 root@h2", { timeout: 5 * minutes });
    const full = await inGuest(
      h2,
      "systemctl stop postgresql; LC_ALL=C dd if=/dev/zero of=/srv/file bs=1M count=700 2>&1 | grep -oE 'No space left on device|Disk quota exceeded'; rm /srv/file",
    );
    expect(full).toMatch(/^No space left on device$|^Disk quota exceeded$/);
    const { code, stdout } = await h2.run("berth audit web1 --json", { timeout: 5 * minutes, allow: true });
    const { contained, findings } = JSON.parse(stdout) as {
      readonly contained: boolean;
      readonly findings: readonly { readonly id: string; readonly root: string }[];
    };
    expect(findings.filter(({ root }) => root === "through" || root === "lost")).toEqual([]);
    expect([code, contained]).toEqual([0, true]);
  },
  10 * minutes,
);
