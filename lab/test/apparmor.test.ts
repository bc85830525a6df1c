/** Guests under AppArmor, on stock kernels: each has a profile of its own, boots clean under it, and is held by it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { needTemplates, templateCache } from "../../test/support/world.ts";
import { type Host, hostKinds, isKindName, lab } from "../lab.ts";
import { berthPayload, giveBerth } from "../payload.ts";

const kinds = Object.keys(hostKinds).filter(isKindName);
const wanted = process.env.BERTH_LAB_KINDS?.split(",") ?? kinds;
/** CI has time for one guest of each sort, on the first kind. */
const inCi = process.env.BERTH_LAB_CI !== undefined;
const memory = 2048;
const minutes = 60_000;
const profiles = "cat /sys/kernel/security/apparmor/profiles | grep ^berth- || true";

const namespaces = "ls /sys/kernel/security/apparmor/policy/namespaces";

let payload: string;
beforeAll(async () => {
  await needTemplates("busybox", "debian-12", "debian-13");
  payload = await berthPayload(templateCache);
});

for (const kind of kinds) {
  if (wanted.includes(kind) && !(inCi && kind !== kinds[0])) describe(kind, () => suiteOn(kind));
  else test.skip(`AppArmor on ${kind} SKIP: not in BERTH_LAB_KINDS, or left out in CI`, () => undefined);
}

function suiteOn(kind: (typeof kinds)[number]): void {
  let host: Host;
  beforeAll(async () => {
    await lab.prepare(kind, memory);
    host = await lab.host("h1", { kind, payload, memory });
    await giveBerth(host);
  });
  afterAll(() => host?.close());
  afterEach(
    async () => void (await host.run("berth rm --force --all", { timeout: 2 * minutes, allow: true })),
  );

  const inGuest = async (name: string, line: string): Promise<string> => {
    const { stdout, stderr } = await host.run(["berth", "exec", name, "--", "sh", "-c", line], {
      allow: true,
    });
    return `${stdout}${stderr}`;
  };

  const guests = [
    ["debian-13", []],
    ["debian-13", ["--privileged"]],
    ["debian-12", []],
    ["debian-12", ["--privileged"]],
    ["debian-13", ["--nesting", "true"]],
    ["debian-13", ["--apparmor", "stacked"]],
    ["debian-12", ["--apparmor", "stacked"]],
  ] as const;
  for (const [template, options] of inCi ? guests.slice(0, 2) : guests) {
    test(
      `${template} ${options.join(" ")} boots with no failed unit under a profile of its own, which goes with it`,
      async () => {
        await host.run(["berth", "create", "g", "-t", template, ...options, "--start"], {
          timeout: 2 * minutes,
        });
        await host.run("until berth exec g -- test -S /run/dbus/system_bus_socket; do sleep 0.3; done", {
          timeout: 4 * minutes,
        });
        const booted = await host.run("berth exec g -- systemctl is-system-running --wait", {
          timeout: 4 * minutes,
          allow: true,
        });
        expect(booted.stdout.trim()).toBe("running");
        const { uuid, pid } = JSON.parse((await host.run("berth info g --json")).stdout) as {
          uuid: string;
          pid: number;
        };
        const stacked = options.some((option) => option === "stacked");
        const own = `berth-${uuid}`;
        const label = `${stacked ? `${own}//&:${own}:unconfined` : own} (enforce)`;
        expect((await host.run(`cat /proc/${pid}/attr/apparmor/current`)).stdout.trim()).toBe(label);
        expect((await inGuest("g", "cat /proc/self/attr/current")).trim()).toBe(
          stacked ? "unconfined" : label,
        );
        const { stdout } = await host.run("berth info g --security --json");
        const { layers } = JSON.parse(stdout) as { layers: readonly { layer: string; verdict: string }[] };
        expect(layers.filter(({ verdict }) => verdict === "missing")).toEqual([]);
        expect(layers.find(({ layer }) => layer === "AppArmor")?.verdict).toBe("present");
        await deniedToAll();
        if (options.some((option) => option === "--privileged")) await deniedToPrivileged();
        if (options.some((option) => option === "--nesting")) await nests();
        if (stacked) await loadsItsOwn();
        await host.run("berth stop g", { timeout: 2 * minutes });
        expect((await host.run(profiles)).stdout).toBe("");
        expect((await host.run(namespaces)).stdout).toBe("");
        await host.run("berth rm g");
      },
      10 * minutes,
    );
  }

  /** What the guest's root tries once it has taken the masks away, and on a proc of its own. */
  async function deniedToAll(): Promise<void> {
    const said = await inGuest("g", "umount /proc/sysrq-trigger; echo h > /proc/sysrq-trigger");
    expect(said).toContain("cannot create /proc/sysrq-trigger: Permission denied");
    expect((await host.run("dmesg")).stdout).not.toContain("sysrq: HELP");
    expect(await inGuest("g", "umount /proc/kcore; head -c 1 /proc/kcore")).toContain("Permission denied");
  }

  async function deniedToPrivileged(): Promise<void> {
    // Nothing but the profile stands between the host's root and this file, so its word is in the log.
    expect((await host.run("berth security log g")).stdout).toMatch(
      /apparmor +open \w+ +\/proc\/sysrq-trigger +sh/,
    );
    await inGuest("g", "umount -l /proc/sys; mount -o remount,rw /sys; mkdir -p /root/m");
    for (const line of [
      "echo x > /proc/sys/kernel/core_pattern",
      "echo 1 > /proc/sys/vm/overcommit_memory",
      "echo 1 > /sys/kernel/mm/ksm/run",
      "echo change > /sys/class/net/lo/uevent",
    ])
      expect(await inGuest("g", line)).toMatch(/Permission denied|Read-only/);
    for (const mount of [
      "-t proc proc",
      "-t sysfs sys",
      "-t debugfs d",
      "-t securityfs s",
      "-t cgroup -o memory c",
      "--bind /proc",
      "--rbind /sys",
      "--bind /proc/sys",
      "--move /sys",
      "--rbind /",
    ])
      expect(await inGuest("g", `mount ${mount} /root/m && echo mounted`)).not.toContain("mounted\n");
    expect(await inGuest("g", "mount --bind /etc /root/m && mount -t tmpfs t /root/m && echo mounted")).toBe(
      "mounted\n",
    );
  }

  async function nests(): Promise<void> {
    expect(await inGuest("g", "unshare -Urpfmn --mount-proc sh -c 'echo $$ $(id -u)'")).toBe("1 0\n");
  }

  /** A profile of the guest's binds its processes besides the host's, and says nothing to anybody else. */
  async function loadsItsOwn(): Promise<void> {
    await host.run(
      "echo 'profile inner { file, capability, deny /etc/hostname r, }' | apparmor_parser -QKS > /root/inner",
    );
    await host.run("berth cp /root/inner g:/root/inner");
    const as = (line: string) =>
      inGuest("g", `printf 'exec inner' > /proc/self/attr/apparmor/exec && exec ${line}`);
    expect(await inGuest("g", "cat /root/inner > /sys/kernel/security/apparmor/.replace")).toBe("");
    expect(await inGuest("g", "cat /sys/kernel/security/apparmor/profiles")).toBe("inner (enforce)\n");
    expect(await as("cat /proc/self/attr/apparmor/current")).toBe("inner (enforce)\n");
    expect(await as("cat /etc/hostname")).toContain("Permission denied");
    expect(await as("cat /proc/kcore")).toContain("Permission denied");
    expect((await host.run("cat /sys/kernel/security/apparmor/profiles")).stdout).not.toMatch(/^inner/m);
    for (const file of ["lockdown", "lsm", "integrity/ima/policy"])
      expect(await inGuest("g", `cat /sys/kernel/security/${file}`)).toMatch(/denied|No such file/);
    expect((await host.run("berth suspend g", { allow: true })).stderr).toContain(
      "AppArmor profiles of its own",
    );
  }

  test("a guest that ends by itself takes its profile along; one without asks for none", async () => {
    await host.run("berth create b -t busybox --network none --start");
    expect((await host.run(profiles)).stdout).toMatch(/^berth-.*\(enforce\)\n$/);
    await host.run("berth exec b -- poweroff");
    await host.run(
      'until test -z "$(grep ^berth- /sys/kernel/security/apparmor/profiles)"; do sleep 0.2; done',
    );
    await host.run("berth set b --apparmor none; berth start b");
    expect((await host.run(profiles)).stdout).toBe("");
    expect(await inGuest("b", "cat /proc/self/attr/current")).toContain("unconfined");
    await host.run("berth rm --force b");
  });
}
