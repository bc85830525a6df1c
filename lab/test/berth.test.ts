/** berth's own system tests and main job on stock kernels: pure cgroup v2, AppArmor on. BERTH_LAB_KINDS makes it fewer. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { needTemplates, templateCache } from "../../test/support/world.ts";
import { type Host, hostKinds, isKindName, type KindName, lab } from "../lab.ts";
import { projectDir } from "../paths.ts";
import { berthPayload, giveBerth } from "../payload.ts";

const kinds = Object.keys(hostKinds).filter(isKindName);
const wanted = process.env.BERTH_LAB_KINDS?.split(",") ?? kinds;
/** Emulation is ten to twenty times slower than the machine: what is many rounds of the same is left to the machine. */
const tooLong = new Set(["leftovers.test.ts", "crash.test.ts"]);
/** In CI each kind runs what depends on the kernel most, the first one more of it. */
const inCiOn: readonly (readonly string[])[] = [
  ["boot", "confinement", "errors", "exec", "lifecycle", "limits", "templates"],
  ["boot", "limits"],
];
const inCi = process.env.BERTH_LAB_CI !== undefined;
const files = readdirSync(join(projectDir, "test")).filter((name) => name.endsWith(".test.ts"));
const memory = 2048;
const minutes = 60_000;

let payload: string;
beforeAll(async () => {
  await needTemplates("busybox", "debian-12", "debian-13");
  payload = await berthPayload(templateCache);
});

for (const kind of kinds) {
  if (wanted.includes(kind)) describe(kind, () => suiteOn(kind));
  else test.skip(`${kind} SKIP: not in BERTH_LAB_KINDS`, () => undefined);
}

function suiteOn(kind: KindName): void {
  let host: Host;
  beforeAll(async () => {
    await lab.prepare(kind, memory);
    host = await lab.host("h1", { kind, payload, memory });
    await giveBerth(host);
  });
  afterAll(() => host?.close());

  test("berth check names what a stock kernel has", async () => {
    const { stdout } = await host.run("berth check --json");
    const { findings } = JSON.parse(stdout) as { findings: readonly { layer: string; verdict: string }[] };
    const verdicts = Object.fromEntries(findings.map(({ layer, verdict }) => [layer, verdict]));
    expect(verdicts).toMatchObject({
      cgroups: "present",
      AppArmor: "present",
      "project quota": "present",
      "pre-copy": "present",
      "storage image": "present",
    });
  });

  test(
    "the main job: a Debian 13 guest under systemd, in the host's own instance and berth.slice",
    async () => {
      await host.run(
        "berth create demo --template debian-13 --memory 256M --cpus 1.5 --pids 500 --disk 2G --start",
        { timeout: 2 * minutes },
      );
      await host.run("until berth exec demo -- test -S /run/dbus/system_bus_socket; do sleep 0.3; done", {
        timeout: 4 * minutes,
      });
      const booted = await host.run("berth exec demo -- systemctl is-system-running --wait", {
        timeout: 4 * minutes,
        allow: true,
      });
      expect(booted.stdout.trim()).toBe("running");
      const { stdout } = await host.run(
        "cat /sys/fs/cgroup/berth.slice/demo/memory.max /sys/fs/cgroup/berth.slice/demo/cpu.max /sys/fs/cgroup/berth.slice/demo/pids.max",
      );
      expect(stdout.split("\n").slice(0, 3)).toEqual([String(256 * 2 ** 20), "150000 100000", "500"]);
      await host.run("systemctl daemon-reload");
      expect((await host.run("cat /sys/fs/cgroup/berth.slice/demo/memory.max")).stdout.trim()).toBe(
        String(256 * 2 ** 20),
      );
    },
    8 * minutes,
  );

  test("sysrq-trigger and kcore are out of the guest's reach, masks or not", async () => {
    const inGuest = (line: string) =>
      host.run(["berth", "exec", "demo", "--", "sh", "-c", line], { allow: true });
    expect((await inGuest("head -c 16 /proc/kcore | wc -c")).stdout.trim()).toBe("0");
    const bare = await inGuest(
      "umount /proc/sysrq-trigger /proc/kcore; echo h > /proc/sysrq-trigger; head -c 16 /proc/kcore > /root/core; wc -c < /root/core",
    );
    expect(bare.stdout.trim()).toBe("0");
    expect(bare.stderr).toContain("/proc/sysrq-trigger: Permission denied");
    expect((await host.run("dmesg")).stdout).not.toContain("sysrq: HELP");
    await host.run("berth rm --force demo", { timeout: 2 * minutes });
  });

  for (const file of files) {
    if (tooLong.has(file)) continue;
    if (inCi && inCiOn[kinds.indexOf(kind)]?.includes(file.replace(".test.ts", "")) !== true) {
      test.skip(`test/${file} SKIP: not in CI on ${kind}`, () => undefined);
      continue;
    }
    test(
      `test/${file}`,
      async () => {
        const env =
          "BERTH_BIN=/payload/dist/berth BERTH_TEST_TEMPLATES=/payload/templates BERTH_TEST_DIR=/var/tmp";
        const { code, stdout, stderr } = await host.run(
          `cd /payload && ${env} ./bun test --timeout ${5 * minutes} ./test/${file}`,
          { timeout: 15 * minutes, allow: true },
        );
        const said = `${stdout}${stderr}`;
        if (code !== 0) throw new Error(`${file} on ${kind}:\n${failuresOf(said)}`);
        expect(said).toMatch(/\b[1-9]\d* pass/);
        process.stderr.write(
          `${kind} ${file}: ${/\d+ pass/.exec(said)?.[0]}, ${/\d+ skip/.exec(said)?.[0] ?? "0 skip"}\n`,
        );
      },
      16 * minutes,
    );
  }
}

/** What bun said but for the passes; indented, so that nobody counts its lines as ours. */
function failuresOf(said: string): string {
  return said
    .split("\n")
    .filter((line) => !line.startsWith("(pass)"))
    .map((line) => `  | ${line}`)
    .join("\n");
}
