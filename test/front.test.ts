/** dist/berth, the native front: what it does itself, and what it leaves to berth-cli. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { containerPaths } from "../src/base/paths.ts";
import { tryLock } from "../src/kernel/flock.ts";
import { cgroupLayout } from "../src/resources/layout.ts";
import { berthBinary, newWorld, type Result, run, type World } from "./support/world.ts";

let world: World;
let front: (...words: readonly string[]) => Promise<Result>;

beforeAll(async () => {
  world = await newWorld("busybox");
  await world.ok("create", "t-front", "-t", "busybox", "--network", "none", "--start");
  const dir = `${world.root}/alone`;
  mkdirSync(dir);
  copyFileSync(berthBinary, `${dir}/berth`);
  writeFileSync(`${dir}/berth-cli`, "#!/bin/sh\necho cli $0 $*\necho jit $BUN_JSC_useBaselineJIT >&2\n");
  for (const name of ["berth", "berth-cli"]) chmodSync(`${dir}/${name}`, 0o755);
  front = (...words) => run([`${dir}/berth`, ...words], { env: world.env });
});
afterAll(async () => await world.end());

test("a plain exec needs no berth-cli; words, exit code and signal are the command's", async () => {
  expect((await front("exec", "t-front", "echo", "a b", "--json")).stdout).toBe("a b --json\n");
  expect((await front("exec", "t-front", "--", "sh", "-c", "exit 126")).code).toBe(126);
  expect((await front("exec", "t-front", "sh", "-c", "kill -9 $$")).code).toBe(137);
});

test("anything else is berth-cli's", async () => {
  const left = [
    ["ls", "--names"],
    ["exec"],
    ["exec", "t-front"],
    ["exec", "t-front", "--"],
    ["exec", "--user", "root", "t-front", "true"],
    ["exec", "../t-front", "true"],
    ["exec", "t-none", "true"],
    ["exec", "t-front", "no-such-program"],
  ];
  for (const words of left) {
    const { stdout } = await front(...words);
    expect(stdout).toStartWith("cli ");
    expect(stdout).toEndWith(` ${words.join(" ")}\n`);
  }
});

test("the engine starts without its compilers where they would not pay", async () => {
  expect((await front("info", "t-front")).stderr).toBe("jit 0\n");
  expect((await front("backup", "t-front", "FILE")).stderr).toBe("jit\n");
});

test("a frozen guest and a stopped one are berth-cli's", async () => {
  await world.ok("freeze", "t-front");
  expect((await front("exec", "t-front", "true")).stdout).toStartWith("cli ");
  await world.ok("thaw", "t-front");
  expect((await front("exec", "t-front", "true")).stdout).toBe("");
  await world.ok("stop", "--kill", "t-front");
  expect((await front("exec", "t-front", "true")).stdout).toStartWith("cli ");
});

/** With too little address space for berth-cli's engine: what succeeds is the front's own. */
const withoutEngine = (...words: readonly string[]): Promise<Result> =>
  run(["/bin/sh", "-c", 'ulimit -v 50000; exec "$0" "$@"', berthBinary, ...words], { env: world.env });

type Info = Readonly<Record<string, unknown>> & { readonly state: string };

/** What tells one start of a container from another. */
const timeless = ({ pid, uptime, usage, started, ...rest }: Info): unknown => rest;

test("a prepared start needs no berth-cli, and is the same start", async () => {
  const settings = ["--memory", "64M", "--cpus", "1", "--pids", "50"];
  await world.ok("create", "t-ready", "-t", "busybox", ...settings);
  await world.ok("start", "t-ready"); // makes what is shared, where nobody has yet
  await world.ok("stop", "--kill", "t-ready");
  expect((await withoutEngine("ls", "--names")).code).not.toBe(0);
  for (const round of ["as berth-cli left it", "as the front left it"]) {
    expect([round, await withoutEngine("start", "t-ready")]).toEqual([
      round,
      { code: 0, stdout: "t-ready: started\n", stderr: "" },
    ]);
    const byFront = await world.json<Info>("info", "t-ready");
    const limits = await world.sh("t-ready", "cat /proc/self/mountinfo /proc/1/limits | wc -l; hostname; id");
    expect((await world.berth("start", "t-ready")).stderr).toContain("is running already");
    await world.ok("stop", "--kill", "t-ready");
    await world.ok("start", "t-ready", "--quiet"); // berth-cli's
    expect(timeless(await world.json<Info>("info", "t-ready"))).toEqual(timeless(byFront));
    expect(await world.sh("t-ready", "cat /proc/self/mountinfo /proc/1/limits | wc -l; hostname; id")).toBe(
      limits,
    );
    await world.ok("stop", "--kill", "t-ready");
  }
  const { state } = containerPaths("t-ready", world.at);
  await withoutEngine("start", "t-ready");
  expect(readFileSync(state, "utf8")).toContain('"shouldRun": true');
  await world.ok("stop", "--kill", "t-ready");
  expect(readFileSync(state, "utf8")).toContain('"shouldRun": false');
}, 60_000);

test("the first start after a creation is prepared as well", async () => {
  await world.ok("create", "t-new", "-t", "busybox");
  expect(await withoutEngine("start", "t-new")).toMatchObject({ code: 0, stdout: "t-new: started\n" });
  expect(await world.sh("t-new", "hostname")).toBe("t-new");
  await world.ok("rm", "--force", "t-new");
});

test("a start that is not as it was prepared is berth-cli's", async () => {
  const paths = containerPaths("t-ready", world.at);
  const refuses = async (why: string, ...words: readonly string[]): Promise<void> => {
    const { code, stdout } = await withoutEngine(...(words.length > 0 ? words : ["start", "t-ready"]));
    expect([why, code === 0, stdout]).toEqual([why, false, ""]);
  };
  const withFile = async (path: string, text: string): Promise<void> => {
    writeFileSync(path, text);
    await refuses(path);
    rmSync(path);
  };
  await refuses("options", "start", "--quiet", "t-ready");
  await refuses("two names", "start", "t-ready", "t-front");
  await refuses("no name", "start", "../t-ready");
  mkdirSync(paths.run, { recursive: true });
  await withFile(paths.intent, "{}");
  await withFile(paths.init, "1 2 3 4 5 x\n");
  await withFile(paths.volumes, "");
  const state = readFileSync(paths.state, "utf8");
  writeFileSync(paths.state, state.replace('"suspended": false', '"suspended": true'));
  await refuses("suspended");
  writeFileSync(paths.state, state);
  for (const mode of [0o622, 0o602]) {
    chmodSync(paths.prepared, mode);
    await refuses("others may write it");
  }
  chmodSync(paths.prepared, 0o600);
  const lock = openSync(paths.lock, "r");
  expect(tryLock(lock)).toBe(true);
  await refuses("busy");
  closeSync(lock);
  const bytes = readFileSync(paths.prepared);
  for (const size of [0, 23, 24, 100, bytes.length - 1]) {
    writeFileSync(paths.prepared, bytes.subarray(0, size));
    await refuses(`${size} bytes`);
  }
  writeFileSync(paths.prepared, bytes);
  expect((await withoutEngine("start", "t-ready")).code).toBe(0);
  await world.ok("stop", "--kill", "t-ready");
  utimesSync(paths.config, new Date(), new Date());
  await refuses("settings written");
  await world.ok("start", "t-ready"); // prepares it anew
  await world.ok("stop", "--kill", "t-ready");
  expect((await withoutEngine("start", "t-ready")).code).toBe(0);
  await world.ok("set", "t-ready", "--hostname", "other");
  await world.ok("stop", "--kill", "t-ready");
  await refuses("settings changed");
}, 60_000);

test("what a launch fails at is told by berth-cli, with nothing left", async () => {
  await world.ok("start", "t-ready");
  await world.ok("stop", "--kill", "t-ready");
  const { state, run: rundir } = containerPaths("t-ready", world.at);
  const { uuid } = JSON.parse(readFileSync(state, "utf8")) as { uuid: string };
  const image = `${world.at.lib}/pool/image/${uuid}.img`;
  renameSync(image, `${image}.kept`);
  writeFileSync(image, new Uint8Array(4096));
  const failed = await world.berth("start", "t-ready");
  expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("holds no ext4 file system") });
  expect(await world.berth("start", "--quiet", "t-ready")).toEqual(failed);
  expect((await run(["find", rundir, "-name", "init"])).stdout).toBe("");
  renameSync(`${image}.kept`, image);
  await world.ok("start", "t-ready");
  await world.ok("rm", "--force", "t-ready");
});

test("a kill needs no berth-cli, and leaves what a stop leaves", async () => {
  await world.ok("create", "t-kill", "-t", "busybox");
  const paths = containerPaths("t-kill", world.at);
  const left = (): readonly string[] => readdirSync(paths.run).filter((file) => file !== "attach");
  for (const words of [
    ["--kill", "t-kill"],
    ["t-kill", "-k"],
  ]) {
    await world.ok("start", "t-kill");
    expect(await withoutEngine("stop", ...words)).toEqual({
      code: 0,
      stdout: "t-kill: stopped (killed)\n",
      stderr: "",
    });
    expect(left()).toEqual(["exit"]);
    expect(cgroupsOf("t-kill")).toEqual([]);
    expect(readFileSync(paths.state, "utf8")).toContain('"shouldRun": false');
    expect((await world.json<Info>("info", "t-kill")).state).toBe("stopped");
  }
  expect((await world.berth("stop", "--kill", "t-kill")).stderr).toContain("is stopped");
  await world.ok("start", "t-kill");
  await world.ok("freeze", "t-kill");
  await isLeft("stop", "--kill", "t-kill");
  await world.ok("thaw", "t-kill");
  await isLeft("stop", "t-kill");
  writeFileSync(paths.adopted, "");
  await isLeft("stop", "--kill", "t-kill");
  rmSync(paths.adopted);
  await Promise.all([
    world.ok("stop", "--kill", "t-kill"),
    Bun.sleep(20).then(() => world.berth("start", "t-kill")),
  ]);
  await world.ok("rm", "--force", "t-kill");
}, 60_000);

const cgroupsOf = (name: string): readonly string[] =>
  [...cgroupLayout().v1.map(({ mount }) => mount), cgroupLayout().v2 ?? "/none"]
    .map((mount) => `${mount}/${world.at.cgroup}/${name}`)
    .filter((dir) => existsSync(dir));

/** What berth-cli says; the figures of a guest that runs change, so that both are asked until they agree. */
async function isSame(...words: readonly string[]): Promise<void> {
  const both = async (): Promise<readonly [Result, Result]> => [
    await withoutEngine(...words),
    await run([`${berthBinary}-cli`, ...words], { env: world.env }),
  ];
  let [ours, theirs] = await both();
  for (let tries = 0; tries < 10 && ours.stdout !== theirs.stdout; tries++) [ours, theirs] = await both();
  expect(ours).toEqual({ ...theirs, code: 0, stderr: "" });
}

/** Not to be shown without berth-cli. */
const isLeft = async (...words: readonly string[]): Promise<void> => {
  const { code, stdout } = await withoutEngine(...words);
  expect([words, code === 0, stdout]).toEqual([words, false, ""]);
};

test("ls and info are those of berth-cli, to the byte", async () => {
  const limits = ["--memory", "48M", "--cpus", "0.5", "--pids", "50", "--disk", "1536M"];
  await world.ok("create", "t-limits", "-t", "busybox", ...limits, "--start");
  await world.ok(
    "create",
    "t-plain10",
    "-t",
    "busybox",
    "--storage",
    "plain",
    "--network",
    "none",
    "--start",
  );
  await world.ok("create", "t-plain9", "-t", "busybox", "--storage", "plain", "--disk", "1G");
  await world.ok("ls");
  await isSame("ls");
  for (const name of ["t-limits", "t-plain10"]) await isSame("info", name);
  await world.sh(
    "t-limits",
    "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; dd if=/dev/zero of=/x bs=1k count=700",
  );
  await isSame("info", "t-limits");
  await world.ok("freeze", "t-limits");
  await isSame("ls");
  await isLeft("info", "t-limits");
  await world.ok("thaw", "t-limits");
  await world.ok("stop", "--kill", "t-limits");
  await isSame("ls");
  await isLeft("info", "t-limits");
  await world.ok("start", "t-limits");
  await isSame("ls");
  await isSame("info", "t-limits");
}, 60_000);

test("cards that no longer hold are not shown, and are left anew", async () => {
  const { intent, state } = containerPaths("t-plain9", world.at);
  writeFileSync(intent, "{}");
  await isLeft("ls");
  rmSync(intent);
  const text = readFileSync(state, "utf8");
  writeFileSync(state, text.replace('"suspended": false', '"suspended": true'));
  await isLeft("ls");
  await world.ok("ls");
  await isSame("ls");
  writeFileSync(state, text);
  await world.ok("set", "t-plain9", "--memory", "1G");
  await isLeft("ls");
  await world.ok("ls");
  await isSame("ls");
  await world.ok("snapshot", "create", "t-plain10", "one");
  await isLeft("info", "t-plain10");
  await world.ok("info", "t-plain10");
  await isLeft("ls", "t-plain9");
  writeFileSync(`${world.at.lib}/pool/project.json`, "{}");
  await isLeft("ls");
  rmSync(`${world.at.lib}/pool/project.json`);
  await world.ok("ls");
  await isSame("ls");
  await world.ok("mount", "t-plain9");
  await isLeft("ls");
  await world.ok("umount", "t-plain9");
  await isSame("ls");
  await world.ok("set", "t-plain9", "--description", "a word");
  await isLeft("ls");
}, 60_000);
