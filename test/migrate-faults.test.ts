/**
 * What can break while a running guest moves to another host, at random points: afterwards one of the two has it, with its
 * processes and its connection unless their host lost power, and with all that it had written. BERTH_FAULT_ROUNDS=N breaks
 * each N times, BERTH_FAULT_SEED=N chooses where; `npm test` takes half of them once.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { containerPaths } from "../src/base/paths.ts";
import { findCriu } from "../src/checkpoint/program.ts";
import {
  criuOf,
  fillDisk,
  giveDisk,
  guestLinks,
  kill9,
  powerCut,
  processesOf,
  takeDisk,
} from "./support/power.ts";
import { randomFrom } from "./support/soak.ts";
import { followStream, type Stream, streamServer } from "./support/stream.ts";
import { type Host, type TwoHosts, twoHosts } from "./support/two-hosts.ts";
import { berthBinary, type Info, leftovers, run, until } from "./support/world.ts";

const criu = await findCriu();
const why = "fault" in criu ? `SKIP: ${criu.fault}: ` : "";
const checked = test.skipIf(why !== "");

const wanted = process.env.BERTH_FAULT_ROUNDS;
const rounds = Number(wanted ?? 1);
const seed = Number(process.env.BERTH_FAULT_SEED ?? Date.now() % 1e6);

let hosts: TwoHosts;
/** Who has the guest. */
let from: Host;
let to: Host;

const unit = `[Service]
ExecStart=perl -MIO::Socket::INET -e '${streamServer.replaceAll("$", "$$$$").replaceAll("\\n", "\\\\n").replaceAll("\n", " ")}'
[Install]
WantedBy=multi-user.target`;

beforeAll(async () => {
  if (why !== "") return;
  hosts = await twoHosts("faults", "debian-13");
  ({ a: from, b: to } = hosts);
  for (const host of [from, to]) await giveDisk(host, "1G");
  await from.world.ok("create", "web1", "-t", "debian-13", "--disk", "512M", "--start");
  await from.world.booted("web1");
  await from.world.sh(
    "web1",
    `cat > /etc/systemd/system/counter.service <<'E'\n${unit}\nE\nsystemctl enable --now counter`,
  );
}, 60_000);
afterAll(async () => {
  if (why !== "") return;
  for (const host of [from, to]) {
    await host.world.berth("rm", "--force", "--all");
    await takeDisk(host);
  }
  await hosts.end();
}, 30_000);

/** A migration under way. */
type Going = {
  readonly pid: number;
  readonly exited: Promise<number>;
  readonly said: () => string;
  /** Resolves when the condition holds, or all is over. */
  readonly or: (what: string, condition: () => boolean) => Promise<void>;
  /** The same when that stage begins. */
  readonly stage: (label: string) => Promise<void>;
};

function migration(rsh: string, words: readonly string[]): Going {
  const child = Bun.spawn([...from.within, berthBinary, "migrate", "web1", "other", "--rsh", rsh, ...words], {
    ...{ env: from.world.env, stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  });
  let said = "";
  const over = (async () => {
    for await (const chunk of child.stderr) said += new TextDecoder().decode(chunk);
  })();
  const exited = over.then(async () => await child.exited);
  let isOver = false;
  void exited.then(() => {
    isOver = true;
  });
  const or = async (what: string, condition: () => boolean): Promise<void> =>
    await until(what, () => isOver || condition());
  const stage = async (label: string): Promise<void> => await or(label, () => said.includes(label));
  return { pid: child.pid, exited, said: () => said, or, stage };
}

type Random = (below: number) => number;

type Fault = {
  readonly name: string;
  /** Whether its processes must go on. */
  readonly keeps: boolean;
  /** Another way to the other host, and other words of the command. */
  readonly way?: (random: Random) => {
    readonly rsh?: string;
    readonly words?: readonly string[];
    readonly what: string;
  };
  /** Breaks it. Says where, and gives what is to be done when the command has ended. */
  readonly strike?: (
    going: Going,
    random: Random,
  ) => Promise<string | { readonly what: string; readonly after: () => unknown }>;
};

const STAGES = [
  "sending its files",
  "sending what changed meanwhile",
  "writing its processes down",
  "bringing it back there",
  "bringing it back there",
  "switching",
] as const;

/** A random point: so long after a stage has begun. */
async function point(
  going: Going,
  random: Random,
  stages: readonly string[] = STAGES,
  most = 300,
): Promise<string> {
  const label = stages[random(stages.length)] ?? "";
  const after = random(most);
  await going.stage(label);
  await Bun.sleep(after);
  return `${after} ms after ${label}`;
}

const receiver = (): number[] => {
  const pid = Number(readFileSync(`${to.world.root}/receiver`, "utf8"));
  return pid > 1 ? [pid] : [];
};

const cutLine = resolve(import.meta.dir, "support/cut-line.ts");
const cut = (type: string, when: string): string =>
  `${process.execPath} ${cutLine} ${type} ${when} ${to.way}`;

const MESSAGES = [
  "begin",
  "upper",
  "clear",
  "images",
  "processes",
  "prepare",
  "revive",
  "commit",
  "forget",
] as const;
const oneOf = <T>(random: Random, all: readonly [T, ...T[]]): T => all[random(all.length)] ?? all[0];

const faults: readonly Fault[] = [
  {
    name: "berth of the source is killed",
    keeps: true,
    strike: async (going, random) => {
      const what = await point(going, random);
      kill9([going.pid]);
      return what;
    },
  },
  {
    name: "berth of the destination is killed",
    keeps: true,
    strike: async (going, random) => {
      const what = await point(going, random);
      kill9(receiver());
      return what;
    },
  },
  {
    name: "the line is cut at a message",
    keeps: true,
    way: (random) => {
      const [type, when] = [oneOf(random, MESSAGES), oneOf(random, ["before", "after"])];
      return { rsh: cut(type, when), what: `${when} ${type}` };
    },
  },
  {
    name: "the line is cut at any moment",
    keeps: true,
    way: () => ({ rsh: cut("nothing", "before"), what: "" }),
    strike: async (going, random) => {
      const what = await point(going, random);
      const { stdout } = await run([
        "pgrep",
        "-f",
        `^${process.execPath} ${cutLine} nothing before ${to.way}`,
      ]);
      kill9(stdout.split("\n").filter(Boolean).map(Number));
      return what;
    },
  },
  {
    name: "it stands still for too long, and the line is cut while that is taken back",
    keeps: true,
    way: (random) => {
      const [when, patience] = [oneOf(random, ["before", "after"]), 50 + random(900)];
      return {
        rsh: cut("abort", when),
        words: ["--timeout", `${patience}ms`],
        what: `${patience} ms, ${when}`,
      };
    },
  },
  {
    name: "the destination's disk is full",
    keeps: true,
    strike: async (going, random) => {
      const [what, rest] = [await point(going, random, STAGES.slice(0, 4)), random(1 << 20)];
      const after = await fillDisk(to, rest);
      return { what: `but for ${rest} bytes, ${what}`, after };
    },
  },
  {
    name: "the destination loses power",
    keeps: false,
    strike: async (going, random) => {
      const what = await point(going, random);
      await powerCut(to);
      return what;
    },
  },
  {
    name: "the source loses power",
    keeps: false,
    strike: async (going, random) => {
      const what = await point(going, random);
      await powerCut(from);
      return what;
    },
  },
  {
    name: "the source loses power at the switch",
    keeps: true,
    strike: async (going, random) => {
      const what = await point(going, random, ["switching"], 100);
      await powerCut(from);
      return what;
    },
  },
  {
    name: "CRIU is killed while it writes the guest down, or holds it",
    keeps: true,
    strike: async (going, random) => {
      const what = await point(going, random, STAGES.slice(1, 6));
      const there = criuOf(from);
      kill9(there);
      return `${what}${there.length === 0 ? ": none was there" : ""}`;
    },
  },
  {
    name: "CRIU is killed while it brings the guest back",
    keeps: true,
    strike: async (going, random) => {
      await going.stage("bringing it back there");
      await going.or("CRIU there", () => criuOf(to).length > 0);
      const after = random(300);
      await Bun.sleep(after);
      kill9(criuOf(to));
      return `after ${after} ms`;
    },
  },
  {
    name: "the guest's init ends right after it is back",
    keeps: false,
    strike: async (going, random) => {
      await going.stage("bringing it back there");
      const file = `${to.world.at.run}/web1/init`;
      await going.or("it to be back there", () => existsSync(file));
      const after = random(60);
      await Bun.sleep(after);
      const pid = existsSync(file) ? Number(readFileSync(file, "utf8").split(" ")[1]) : 0;
      if (pid > 1 && processesOf(to).includes(pid)) kill9([pid]);
      return `after ${after} ms`;
    },
  },
];

const READ = "cat /srv/word; cksum < /srv/bulk";

const namesOf = async ({ world }: Host): Promise<string> => await world.ok("ls", "--names");

/** As an operator would: each side is asked, the source's answer holds where the other waits. Says what had to be done. */
async function settle(): Promise<string[]> {
  const done: string[] = [];
  await namesOf(to);
  if ((await namesOf(from)) !== "" && (await from.world.berth("info", "web1")).code !== 0) {
    await from.world.ok("migrate", "web1", "--resolve");
    done.push("resolved");
  }
  if ((await namesOf(from)) === "") return done;
  await until(
    "the receiver to end",
    () => processesOf(to).length === 0 || existsSync(containerPaths("web1", to.world.at).intent),
    20_000,
  );
  if ((await namesOf(to)) === "") return done;
  await until(
    "the destination to give it up",
    async () =>
      (await to.world.berth("migrate", "web1", "--resolve", "--is", "there")).code === 0 ||
      (await namesOf(to)) === "",
    20_000,
  );
  done.push("given up there");
  return done;
}

/** What must not be there at a host without the guest. */
async function leftAt(host: Host): Promise<string[]> {
  const { at } = host.world;
  return [
    ...leftovers(at).filter((one) => !one.startsWith("mount t-disk ")),
    ...(await guestLinks(host)).map((link) => `link ${link}`),
    ...processesOf(host).map((pid) => `process ${pid} ${readFileSync(`/proc/${pid}/cmdline`, "utf8")}`),
  ];
}

/** What must not be there at the host that has it, beside the guest. */
async function leftBeside({ world: { at }, within }: Host, pid: number | null): Promise<string[]> {
  const { checkpoint, intent } = containerPaths("web1", at);
  const { stdout } = await run([...within, "nsenter", `--net=/proc/${pid}/ns/net`, "nft", "list", "tables"]);
  return [
    ...[checkpoint, intent].filter(existsSync),
    ...stdout.split("\n").filter((table) => table.includes("CRIU-")),
    ...readdirSync(`${at.lib}/containers`).filter((name) => name !== "web1"),
  ];
}

type Before = { readonly word: string; readonly stream: Stream };

async function judge(fault: Fault, { word, stream }: Before): Promise<string> {
  const done = await settle();
  const there = (await namesOf(from)) === "";
  if (there) [from, to] = [to, from];
  expect([await namesOf(from), await namesOf(to)]).toEqual(["web1", ""]);
  const { state } = await from.world.json<Info>("info", "web1");
  expect(fault.keeps ? ["running", "suspended"] : ["running", "suspended", "stopped"]).toContain(state);
  if (state !== "running") await from.world.ok(state === "suspended" ? "resume" : "start", "web1");
  if (state === "stopped") await from.world.booted("web1");
  else await stream.goesOn();
  expect(await from.world.sh("web1", READ)).toBe(word);
  const { pid } = await from.world.json<Info>("info", "web1");
  // The kernel takes a network apart after its last process.
  await until("nothing to be left", async () => (await leftAt(to)).length === 0, 5000).catch(() => {});
  expect({ left: await leftAt(to), beside: await leftBeside(from, pid) }).toEqual({ left: [], beside: [] });
  return [there ? "there" : "here", state, ...done].join(", ");
}

/** Writes what must be there afterwards, none of it synced; gives what `READ` says of it. */
const written = async (): Promise<string> =>
  await from.world.sh("web1", `date +%N > /srv/word; head -c 4M /dev/urandom > /srv/bulk; ${READ}`);

async function round(fault: Fault, random: Random, index: number): Promise<string> {
  const { address } = await from.world.json<Info>("info", "web1");
  await using stream = await followStream(hosts.onLan, address);
  await stream.goesOn();
  const before = { word: await written(), stream };
  writeFileSync(`${to.world.root}/receiver`, "");
  const { rsh = to.way, words = [], what = "" } = fault.way?.(random) ?? {};
  const going = migration(rsh, words);
  const struck = (await fault.strike?.(going, random)) ?? "";
  await going.or("the migration to end", () => false);
  const code = await going.exited;
  const { what: where, after } = typeof struck === "string" ? { what: struck, after: () => {} } : struck;
  await after();
  const history = `${fault.name}, round ${index} of seed ${seed}: ${what}${where}; exit code ${code}`;
  try {
    return `${history}: ${await judge(fault, before)}`;
  } catch (error) {
    throw new Error(`${history}\n${going.said()}`, { cause: error });
  }
}

/** All of them take two minutes. */
const due = wanted === undefined ? faults.filter((_, index) => index % 2 === seed % 2) : faults;

for (const fault of due)
  checked(
    `${why}${fault.name}`,
    async () => {
      const random = randomFrom(seed + fault.name.length);
      for (let index = 0; index < rounds; index++) {
        const outcome = await round(fault, random, index);
        if (wanted !== undefined) process.stderr.write(`  ${outcome}\n`);
      }
    },
    30_000 + rounds * 60_000,
  );
