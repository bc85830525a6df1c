/**
 * A world for system tests: an instance of berth of its own (BERTH_ROOT), driven through the public command as an
 * operator would. Whatever a test leaves behind is removed when the world ends, and named when it should not be there.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { resolve } from "node:path";
import { sha256 } from "../../src/base/digest.ts";
import { type Instance, instanceOf } from "../../src/base/paths.ts";
import { removeBridge } from "../../src/network/bridge.ts";
import { tableExists } from "../../src/network/nft.ts";
import { cgroupLayout } from "../../src/resources/layout.ts";
import { removeCgroup } from "../../src/resources/tree.ts";

const project = resolve(import.meta.dir, "../..");

/** The command under test: BERTH_BIN, or what `npm run build` made. */
export const berthBinary = process.env.BERTH_BIN ?? `${project}/dist/berth`;

/** Templates are built once for each state of the code that builds them; the cache outlives a test run. */
export const templateCache =
  process.env.BERTH_TEST_TEMPLATES ?? `${project}/.cache/templates-${builderDigest()}`;

function builderDigest(): string {
  const dir = `${project}/src/storage`;
  const sources = readdirSync(dir)
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .sort();
  return sha256(sources.map((name) => readFileSync(`${dir}/${name}`, "utf8")).join("\0")).slice(0, 12);
}

export type Result = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly input?: string | Uint8Array;
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal;
};

export type World = {
  readonly root: string;
  readonly at: Instance;
  /** Runs berth; never throws for an exit code. */
  readonly berth: (...args: readonly string[]) => Promise<Result>;
  /** Runs berth and fails unless it exits with 0; gives its stdout, trimmed. */
  readonly ok: (...args: readonly string[]) => Promise<string>;
  /** Runs berth --json and parses what it prints. */
  readonly json: <T>(...args: readonly string[]) => Promise<T>;
  /** Runs a shell line in a guest; fails unless it exits with 0; gives its stdout, trimmed. */
  readonly sh: (name: string, line: string) => Promise<string>;
  /** Waits until the guest's systemd has booted; fails with its console and failed units otherwise. */
  readonly booted: (name: string) => Promise<void>;
  /** The environment that makes a process use this world. */
  readonly env: Record<string, string>;
  readonly end: () => Promise<void>;
};

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Runs a program to its end. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Result> {
  const child = Bun.spawn([...argv], {
    stdin: options.input === undefined ? "ignore" : Buffer.from(options.input),
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: path, LC_ALL: "C.UTF-8", ...options.env },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** The static program of crasher.c; a lab host, which has no compiler, gets it ready made. */
export async function crasher(): Promise<Uint8Array> {
  const ready = `${import.meta.dir}/crasher`;
  if (existsSync(ready)) return readFileSync(ready);
  const dir = mkdtempSync("/tmp/t-berth-cc-");
  try {
    await compileCrasher(`${dir}/crasher`);
    return readFileSync(`${dir}/crasher`);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export async function compileCrasher(target: string): Promise<void> {
  const { code, stderr } = await run(["cc", "-static", "-O0", "-o", target, `${import.meta.dir}/crasher.c`]);
  if (code !== 0) throw new Error(`cc: ${stderr}`);
}

const workloadPackages = "postgresql,nginx-light,redis-server,nodejs,cron,libpam-systemd,dbus-user-session";

/** Templates that are not a distribution as it comes: the one below, and what is in it besides. */
const recipes: Readonly<Record<string, readonly [base: string, packages: string]>> = {
  workloads: ["debian-13", workloadPackages],
  "workloads-12": ["debian-12", workloadPackages],
  servers: ["debian-13", "postgresql,nginx-light,openssh-server"],
};

/** Builds the templates that are not in the cache yet. */
export async function needTemplates(...names: readonly string[]): Promise<void> {
  const env = { BERTH_ROOT: templateCache };
  for (const name of names) {
    if (existsSync(`${instanceOf(templateCache).lib}/templates/names/${name}`)) continue;
    const [base, packages] = recipes[name] ?? [];
    const words = base === undefined ? [name] : [base, "--name", name, "--include", packages ?? ""];
    const { code, stderr } = await run([berthBinary, "template", "build", ...words], { env });
    if (code !== 0) throw new Error(`template ${name} cannot be built:\n${stderr}`);
  }
}

/** What is known of a template in the cache. */
export async function templateInfo(name: string): Promise<{ readonly mirror: string }> {
  const { stdout } = await run([berthBinary, "template", "info", name, "--json"], {
    env: { BERTH_ROOT: templateCache },
  });
  return JSON.parse(stdout) as { mirror: string };
}

/** A new world with the named templates. */
export const newWorld = async (...templates: readonly string[]): Promise<World> =>
  await newWorldBy([], ...templates);

/** The same where berth is run by another program: its words go before berth's. */
export async function newWorldBy(by: readonly string[], ...templates: readonly string[]): Promise<World> {
  await needTemplates(...templates);
  const root = mkdtempSync(`${process.env.BERTH_TEST_DIR ?? "/tmp"}/t-berth-`);
  const at = instanceOf(root);
  mkdirSync(at.lib, { recursive: true });
  if (templates.length > 0) symlinkSync(`${instanceOf(templateCache).lib}/templates`, `${at.lib}/templates`);
  const env = { BERTH_ROOT: root };

  const berth = (...args: readonly string[]): Promise<Result> => run([...by, berthBinary, ...args], { env });
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(...args);
    if (code !== 0) throw new Error(`berth ${args.join(" ")}: exit code ${code}\n${stderr}${stdout}`);
    return stdout.trim();
  };
  const sh = (name: string, line: string): Promise<string> => ok("exec", name, "--", "/bin/sh", "-c", line);
  return {
    root,
    at,
    env: { PATH: path, ...env },
    berth,
    ok,
    json: async <T>(...args: readonly string[]) => JSON.parse(await ok(...args, "--json")) as T,
    sh,
    booted: async (name) => {
      await until(
        `${name} to have a system bus`,
        async () => (await berth("exec", name, "--", "test", "-S", "/run/dbus/system_bus_socket")).code === 0,
      );
      const state = await berth("exec", name, "--", "systemctl", "is-system-running", "--wait");
      if (state.stdout.trim() === "running") return;
      const failed = await berth("exec", name, "--", "systemctl", "--failed", "--no-pager");
      throw new Error(
        `${name} is ${state.stdout.trim()}:\n${failed.stdout}\n${(await berth("log", name)).stdout}`,
      );
    },
    end: () => endWorld(root, at, berth),
  };
}

async function endWorld(root: string, at: Instance, berth: World["berth"]): Promise<void> {
  const removed = await berth("rm", "--force", "--all");
  await until("keepers to be gone", () => keepers(at).length === 0, 5000).catch(() => {});
  const left = leftovers(at);
  await removeBridge(at);
  for (const top of cgroupTops(at)) removeCgroup(top);
  rmSync(root, { recursive: true, force: true });
  if (removed.code !== 0) throw new Error(`rm --force --all failed: ${removed.stderr}`);
  if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
}

const cgroupTops = (at: Instance): string[] => {
  const { v1, v2 } = cgroupLayout();
  return [...v1.map(({ mount }) => mount), ...(v2 === undefined ? [] : [v2])].map(
    (mount) => `${mount}/${at.cgroup}`,
  );
};

/** Processes in the cgroup where keepers live. */
export function keepers(at: Instance): string[] {
  return [...new Set(cgroupTops(at).flatMap((top) => readLines(`${top}/_keepers/cgroup.procs`)))];
}

/** What all containers of the world share on the host, as far as it is there. */
export function sharedParts(at: Instance): string[] {
  return [
    ...(existsSync(`/sys/class/net/${at.bridge}`) ? [`bridge ${at.bridge}`] : []),
    ...(tableExists(at.nftTable) ? [`table ${at.nftTable}`] : []),
    ...cgroupTops(at)
      .filter((top) => existsSync(top))
      .map((top) => `cgroup ${top}`),
  ];
}

/** Everything of the world that should not be there once its containers are removed. */
export function leftovers(at: Instance): string[] {
  const links = existsSync(`/sys/class/net/${at.bridge}/brif`)
    ? readdirSync(`/sys/class/net/${at.bridge}/brif`)
    : [];
  const groups = cgroupTops(at)
    .flatMap((top) => (existsSync(top) ? readdirSync(top, { withFileTypes: true }) : []))
    .filter((entry) => entry.isDirectory() && entry.name !== "_keepers");
  const root = at.lib.slice(0, -"/var/lib".length);
  return [
    ...keepers(at).map((pid) => `keeper ${pid}`),
    ...links.map((link) => `link ${link}`),
    ...groups.map(({ name }) => `cgroup ${name}`),
    ...readLines("/proc/self/mounts")
      .filter((line) => line.includes(root))
      .map((line) => `mount ${line}`),
    ...loopFiles()
      .filter((file) => file.startsWith(root))
      .map((file) => `loop device of ${file}`),
    ...[
      "containers",
      "volumes",
      "pool/image",
      "pool/plain",
      "leases/uid",
      "leases/ip",
      "leases/project",
    ].flatMap((dir) => listIfExists(`${at.lib}/${dir}`).map((file) => `file ${dir}/${file}`)),
    ...listIfExists(at.run)
      .filter((file) => file !== ".mnt" && file !== ".lock")
      .map((file) => `file run/${file}`),
    ...listIfExists(`${at.run}/.lock`).map((file) => `lock ${file}`),
    ...listIfExists(at.log)
      .filter((file) => file !== "events.jsonl" && !file.endsWith(".failed-restore.log"))
      .map((file) => `log ${file}`),
  ];
}

/** Images of the world's pool that loop devices hold, each as often as there are devices. */
export const imageFilesOf = (at: Instance): string[] =>
  loopFiles().filter((file) => file.startsWith(`${at.lib}/pool/`));

function loopFiles(): string[] {
  return readdirSync("/sys/block")
    .filter((name) => name.startsWith("loop"))
    .flatMap((name) => readLines(`/sys/block/${name}/loop/backing_file`));
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}

function listIfExists(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir) : [];
}

/** Looks every 50 ms until the condition holds; fails after the given time. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  milliseconds = 120_000,
): Promise<void> {
  const deadline = Date.now() + milliseconds;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${milliseconds} ms for ${what}`);
    await Bun.sleep(50);
  }
}

/** What `berth info --json` says that tests look at. */
export type Info = {
  readonly state: string;
  readonly unattended: boolean;
  readonly pid: number | null;
  readonly address: string;
  readonly baseUid: number;
  readonly uuid: string;
  readonly usage: {
    readonly memory: number;
    readonly cpuSeconds: number;
    readonly pids: number;
    readonly oomKills: number;
  } | null;
  readonly lastExit: {
    readonly kind: string;
    readonly code: number | null;
    readonly signal: number | null;
    readonly oomKills: number;
    readonly text: string;
  } | null;
  readonly disk: {
    readonly used: number;
    readonly size: number;
    readonly over: { readonly since: string; readonly until: string | null } | null;
  } | null;
};
