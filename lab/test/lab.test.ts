/** The lab's own tests: what every other lab test relies on. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Host, lab, type Pair } from "../lab.ts";
import { cacheDir } from "../paths.ts";

const scratch = mkdtempSync(join(tmpdir(), "t-lab-test-"));
const message = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "no error",
    (error: Error) => error.message,
  );

beforeAll(() => lab.prepare("debian-13"));
afterAll(async () => {
  await lab.close();
  rmSync(scratch, { recursive: true, force: true });
});

describe("a host", () => {
  let h1: Host;

  beforeAll(async () => {
    const payload = join(scratch, "payload");
    await Bun.write(join(payload, "greeting"), "from outside\n");
    h1 = await lab.host("h1", { payload });
  });
  afterAll(() => h1?.close());

  test("runs commands as root in a booted Debian", async () => {
    const { stdout } = await h1.run("id -u; hostname; systemctl is-system-running");
    expect(stdout).toBe("0\nh1\nrunning\n");
  });

  test("gives exit code, stdout and stderr apart", async () => {
    const result = await h1.run("echo out; echo err >&2; exit 7", { allow: [7] });
    expect(result).toEqual({ code: 7, stdout: "out\n", stderr: "err\n" });
  });

  test("takes argument vectors without a shell, and input", async () => {
    expect((await h1.run(["printf", "%s|", "a b", "$HOME", "'"])).stdout).toBe("a b|$HOME|'|");
    expect((await h1.run(["wc", "-c"], { stdin: "x".repeat(300_000) })).stdout.trim()).toBe("300000");
  });

  test("runs commands side by side", async () => {
    const numbers = [1, 2, 3, 4, 5];
    const results = await Promise.all(numbers.map((number) => h1.run(`sleep 0.2; echo ${number}`)));
    expect(results.map(({ stdout }) => Number(stdout))).toEqual(numbers);
  });

  test("throws with journal and serial console for an exit code that is not allowed", async () => {
    await h1.run("logger --socket-errors=off lab-marker; echo serial-marker > /dev/ttyS0; journalctl --sync");
    const text = await message(h1.run("echo said; exit 3"));
    for (const part of ["exit code 3", "said", "lab-marker", "serial-marker"]) expect(text).toContain(part);
  });

  test("kills a command at its limit and lives on", async () => {
    expect(await message(h1.run("sleep 1000", { timeout: 1000 }))).toContain("not done within 1 s");
    expect((await h1.run("pgrep -x sleep", { allow: true })).code).toBe(1);
  });

  test("does not wait for what a command leaves running", async () => {
    await h1.run("sleep 300 & echo started", { timeout: 20_000 });
    await h1.run("pkill -x sleep");
  });

  test("sees the payload, read-only", async () => {
    expect((await h1.run("cat /payload/greeting")).stdout).toBe("from outside\n");
    expect((await h1.run("touch /payload/x", { allow: true })).stderr).toContain("Read-only");
  });

  test("puts and gets files and directories unchanged", async () => {
    const content = crypto.getRandomValues(new Uint8Array(60_000));
    const local = join(scratch, "data");
    writeFileSync(local, content, { mode: 0o750 });
    await h1.put(local, "/srv/deep/data");
    await h1.get("/srv/deep/data", `${local}-back`);
    expect(await Bun.file(`${local}-back`).bytes()).toEqual(content);
    expect((await h1.run("stat -c %a /srv/deep/data")).stdout.trim()).toBe("750");
    await h1.put(join(scratch, "payload"), "/srv/tree");
    expect((await h1.run("cat /srv/tree/greeting")).stdout).toBe("from outside\n");
    expect(await message(h1.get("/no/such", local))).toContain("/no/such");
  });

  test("has a port forwarded to it", async () => {
    const port = await h1.forward(22);
    const greeting = Promise.withResolvers<string>();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data: (_socket, data) => greeting.resolve(data.toString()) },
    });
    expect(await greeting.promise).toStartWith("SSH-2.0-OpenSSH");
    socket.end();
  });

  test("fills a file system until few bytes are left", async () => {
    await h1.run("mkfs.ext4 -q /dev/vdb && mkdir -p /fill && mount /dev/vdb /fill");
    await h1.fillDisk("/fill", 1_000_000);
    await h1.run("head -c 800000 /dev/zero > /fill/fits && sync -f /fill");
    const over = await h1.run("head -c 800000 /dev/zero > /fill/more", { allow: true });
    expect(over.stderr).toContain("No space left");
    await h1.run("umount /fill");
  });

  test("jumps its clock", async () => {
    const clock = async (): Promise<number> => Number((await h1.run("date +%s")).stdout);
    const before = await clock();
    await h1.jumpClock(86_400);
    expect(Math.abs((await clock()) - before - 86_400)).toBeLessThan(60);
    await h1.jumpClock(-86_400);
    expect(Math.abs((await clock()) - before)).toBeLessThan(60);
  });

  test("loses unsynced data when its power is cut, keeps the rest, and boots", async () => {
    const bootId = "cat /proc/sys/kernel/random/boot_id";
    const first = (await h1.run(bootId)).stdout;
    await h1.run("echo kept > /root/kept && sync && echo lost > /root/lost");
    await h1.powerOff();
    expect(h1.pid()).toBeUndefined();
    expect(await message(h1.run("true"))).toContain("is off");
    await h1.powerOn();
    expect((await h1.run("cat /root/kept")).stdout).toBe("kept\n");
    expect((await h1.run("cat /root/lost", { allow: true })).code).toBe(1);
    expect((await h1.run(bootId)).stdout).not.toBe(first);
    expect((await h1.run("hostname; cat /payload/greeting")).stdout).toBe("h1\nfrom outside\n");
  });

  test("that hangs is diagnosed within the limit", async () => {
    const text = await message(h1.run("echo c > /proc/sysrq-trigger", { timeout: 5000 }));
    expect(text).toContain("does not answer any more");
    expect(text).toContain("Kernel panic");
    expect(await h1.console()).toContain("Kernel panic");
  });
});

describe("a pair", () => {
  let pair: Pair;

  beforeAll(async () => {
    pair = await lab.pair();
  });
  afterAll(() => pair?.close());

  test("reaches each other by name: ping, ssh, plain TCP", async () => {
    const { h1, h2 } = pair;
    await h1.run("ping -c 2 -W 10 h2");
    await h2.run("ping -c 2 -W 10 h1");
    expect((await h1.run("ssh h2 hostname")).stdout).toBe("h2\n");
    const listening = h2.run("busybox nc -l -p 7000", { timeout: 60_000 });
    await h1.run(
      "for try in $(seq 50); do echo over the wire | busybox nc h2 7000 && exit; sleep 0.2; done; exit 1",
    );
    expect((await listening).stdout).toBe("over the wire\n");
  });

  test("are two: machine ids, MACs, addresses", async () => {
    const facts =
      "cat /etc/machine-id /sys/class/net/eth1/address; ip -o -4 address show eth1 | awk '{print $4}'";
    const [one, two] = await Promise.all([pair.h1.run(facts), pair.h2.run(facts)]);
    const others = two.stdout.split("\n");
    for (const line of one.stdout.trim().split("\n")) expect(others).not.toContain(line);
  });

  test("loses the LAN when it is cut, link still up, and finds it again", async () => {
    const { h1, lan } = pair;
    await lan.cut();
    expect((await h1.run("ping -c 1 -W 3 h2", { allow: true })).code).not.toBe(0);
    expect((await h1.run("cat /sys/class/net/eth1/operstate")).stdout).toBe("up\n");
    await lan.restore();
    await h1.run("ping -c 1 -W 20 h2");
  });

  test("has a slow LAN on demand", async () => {
    const { h1, lan } = pair;
    const roundTrip = async (): Promise<number> =>
      Number(/= [\d.]+\/([\d.]+)/.exec((await h1.run("ping -c 3 -W 10 h2")).stdout)?.[1]);
    await lan.slow({ rateKbit: 1000, delayMs: 200 });
    expect(await roundTrip()).toBeGreaterThan(390);
    await lan.restore();
    expect(await roundTrip()).toBeLessThan(200);
  });
});

describe("nothing is left", () => {
  const runDirs = (): readonly string[] => readdirSync(join(cacheDir(), "run"));
  const shared = (): readonly string[] => readdirSync("/dev/shm");

  test("after a test process was killed", async () => {
    const before = { shared: shared() };
    const fixture = join(import.meta.dir, "crash.fixture.ts");
    const child = Bun.spawn([process.execPath, fixture], { stdout: "pipe", stderr: "inherit" });
    const line = await new Response(child.stdout).text();
    const facts = JSON.parse(line) as { pid: number; exe: string; socketDir: string; diskDir: string };
    expect(facts.exe).toContain("qemu");
    await Bun.sleep(3000);
    expect(existsSync(`/proc/${facts.pid}`)).toBeFalse();
    expect(existsSync(facts.socketDir)).toBeFalse();
    expect(existsSync(facts.diskDir)).toBeFalse();
    expect(shared()).toEqual(before.shared);
  });

  test("after lab.close()", async () => {
    const before = runDirs();
    const host = await lab.host("brief");
    const pid = host.pid();
    await lab.close();
    expect(existsSync(`/proc/${pid}`)).toBeFalse();
    expect(runDirs().filter((dir) => !before.includes(dir))).toEqual([]);
  });
});
