/** What a default guest cannot do; the audit will attack in full, these hold the foundation's promises. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { cgroupLayout } from "../src/resources/layout.ts";
import { type Info, newWorld, until, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld("debian-13", "debian-12", "busybox");
  await world.ok("create", "deb", "-t", "debian-13", "--start");
  await world.booted("deb");
});
afterAll(() => world.end());

const fails = async (line: string): Promise<string> => {
  const { code, stderr, stdout } = await world.berth("exec", "deb", "--", "sh", "-c", line);
  if (code === 0) throw new Error(`succeeded: ${line}\n${stdout}`);
  return stderr;
};

/** `line` where the mask over `path` is gone, and no other process of the guest loses it. */
const uncovered = (path: string, line: string): string =>
  `unshare --mount sh -c 'umount ${path} && { ${line}; }'`;

describe("the complaint of 2012", () => {
  test.skipIf(!existsSync("/proc/sysrq-trigger"))("sysrq-trigger cannot be written", async () => {
    // The mask takes the write and forgets it; the guest's root can take the mask away, and then ownership holds.
    expect(await fails(uncovered("/proc/sysrq-trigger", "echo h > /proc/sysrq-trigger"))).toMatch(/denied/);
  });
  test.skipIf(!existsSync("/proc/kcore"))("kcore cannot be read", async () => {
    expect(await world.sh("deb", "head -c 16 /proc/kcore 2>/dev/null | wc -c")).toBe("0");
    expect(await fails(uncovered("/proc/kcore", "head -c 16 /proc/kcore"))).toMatch(/denied|not permitted/);
  });
  test("dmesg says no", async () => {
    expect(await fails("dmesg")).toMatch(/not permitted/i);
  });
});

describe("devices", () => {
  test("none can be made", async () => {
    expect(await fails("mknod /root/disk b 7 0")).toMatch(/not permitted/i);
  });
  test("those of the guest work", async () => {
    await world.sh(
      "deb",
      "head -c 8 /dev/urandom | wc -c | grep -qx 8; echo x > /dev/null; head -c 1 /dev/zero > /root/z",
    );
  });
  test("a guest's own fake node is put right at the next start", async () => {
    await world.ok("create", "liar", "-t", "busybox", "--start", "--network", "none");
    await world.sh("liar", "rm /dev/null; echo fake > /dev/null; ln -sf /etc/passwd /dev/zero");
    await world.ok("restart", "liar");
    expect(
      await world.sh("liar", "test -c /dev/null && test -c /dev/zero && ! test -L /dev/zero && echo right"),
    ).toBe("right");
  });
});

describe("the kernel's doors", () => {
  test("nested namespaces that cannot be dumped", async () => {
    for (const flag of ["--user", "--pid --fork", "--net", "--uts", "--ipc"])
      expect(await fails(`unshare ${flag} true`)).toMatch(/not permitted/i);
  });
  test("a mount namespace is allowed", async () => {
    await world.sh("deb", "unshare --mount true");
  });
  test("the clock, and host-wide sysctls", async () => {
    await fails("date -s 2001-01-01");
    await fails("echo x > /proc/sys/kernel/core_pattern");
    await fails("echo 0 > /proc/sys/vm/overcommit_memory");
  });
  test("init runs under the filter and without the host's capabilities", async () => {
    const { pid } = await world.json<Info>("info", "deb");
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    expect(status).toContain("Seccomp:\t2");
    const bounding = BigInt(`0x${/CapBnd:\t([0-9a-f]+)/.exec(status)?.[1] ?? "0"}`);
    for (const capability of [16n, 17n, 25n, 34n, 39n]) expect((bounding >> capability) & 1n).toBe(0n);
  });
  test("exec is confined as init is", async () => {
    expect(await world.sh("deb", "grep Seccomp: /proc/self/status")).toBe("Seccomp:\t2");
    const of = (text: string) => /CapBnd:\s+(\S+)/.exec(text)?.[1];
    const { pid } = await world.json<Info>("info", "deb");
    expect(of(await world.sh("deb", "cat /proc/self/status"))).toBe(
      of(readFileSync(`/proc/${pid}/status`, "utf8")),
    );
  });
});

test("a symlink where a directory should be is not followed", async () => {
  await world.ok("create", "trap", "-t", "busybox", "--start", "--network", "none");
  await world.sh(
    "trap",
    "rm -rf /root/dev; mkdir /root/dev; cp -a /etc/. /root/etc-copy 2>/dev/null; mv /etc /etc.real; ln -s /root /etc",
  );
  await world.ok("stop", "--kill", "trap");
  const { code, stderr } = await world.berth("start", "trap");
  // Refused or started: what counts is that nothing outside was touched and the error is clear.
  if (code !== 0) expect(stderr).toContain("/etc");
  expect(existsSync("/root/machine-id")).toBe(false);
});

/** What a guest's root lays for the next start, from a mount namespace in which nothing is mounted over the place. */
const traps = {
  "/proc is a link": "umount -l /proc && rmdir /proc && ln -s /root /proc",
  "/sys is a link": "umount -l /sys && rmdir /sys && ln -s /root /sys",
  "/dev is a link": "umount -l /dev && mv /dev /dev.real && ln -s /root /dev",
  "/dev/null is a file, /dev/console a link to the host's path":
    "umount -l /dev; rm -f /dev/null /dev/console && echo fake > /dev/null && ln -s /dev/berth/../../etc/shadow /dev/console",
  "/dev/pts and /dev/berth are links":
    "umount -l /dev; rm -rf /dev/pts /dev/berth && ln -s /root /dev/pts && ln -s /root /dev/berth",
  "/run is a file": "umount -l /run; rmdir /run; echo x > /run",
};
for (const [trap, lay] of Object.entries(traps)) {
  test(`a trap laid for the start does no harm: ${trap}`, async () => {
    await world.ok("create", "laid", "-t", "busybox", "--start", "--network", "none");
    await world.sh("laid", `unshare -m sh -c '${lay.replaceAll("'", "'\\''")}'`);
    await world.ok("stop", "--kill", "laid");
    const { code, stderr } = await world.berth("start", "laid");
    if (code === 0) {
      expect(
        await world.sh(
          "laid",
          "stat -f -c %T /proc; test -c /dev/null && test -c /dev/console && echo sound",
        ),
      ).toBe("proc\nsound");
    } else {
      expect(stderr).toMatch(/laid did not start: .*\/(proc|sys|dev|run)/);
      expect(code).toBe(1);
    }
    await world.ok("rm", "--force", "laid");
  });
}

test("what a guest is called cannot drive the operator's terminal", async () => {
  await world.ok("create", "plain", "-t", "busybox", "--network", "none", "--description", "a\u202Eb");
  expect(await world.ok("ls")).not.toContain("\u202E");
});

for (const release of ["debian-13", "debian-12"]) {
  describe(`profiles of system calls on ${release}`, () => {
    const guest = (profile: string) => `${profile}-${release}`;
    test("strict: it boots with no failed unit; what is not listed is not there", async () => {
      const name = guest("strict");
      await world.ok("create", name, "-t", release, "--seccomp-profile", "strict", "--start");
      await world.booted(name);
      const { pid } = await world.json<Info>("info", name);
      expect(readFileSync(`/proc/${pid}/status`, "utf8")).toContain("Seccomp_filters:\t2");
      // ptrace, as a debugger begins: of init, which root may trace.
      const { code, stdout } = await world.berth(
        "exec",
        name,
        "--",
        "perl",
        "-e",
        "print syscall(101, 16, 1)",
      );
      expect([code, stdout]).toEqual([0, "-1"]);
      await world.ok("rm", "--force", name);
    });
    test("nesting: it boots with no failed unit, and its users make containers of their own", async () => {
      const name = guest("nesting");
      const { stderr } = await world.berth("create", name, "-t", release, "--nesting", "true", "--start");
      expect(stderr).toContain("cannot be checkpointed");
      await world.booted(name);
      const nested = "unshare -Urpfmn --mount-proc";
      expect(await world.sh(name, `${nested} sh -c 'echo $$ $(id -u)'`)).toBe("1 0");
      expect(
        await world.sh(name, `setpriv --reuid 1000 --clear-groups ${nested} sh -c 'echo $$ $(id -u)'`),
      ).toBe("1 0");
      // A container as an engine makes it: a root of its own, fresh proc, sysfs and cgroup2, a host name.
      const container =
        "mount --rbind / /mnt && cd /mnt && pivot_root . mnt && mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t cgroup2 cg /sys/fs/cgroup && umount -l /mnt && hostname inner && hostname";
      expect(await world.sh(name, `${nested} -uC sh -c '${container}'`)).toBe("inner");
      expect(await world.sh(name, "setpriv --reuid 1000 --clear-groups ls /dev/.berth || echo no")).toBe(
        "no",
      );
      await world.ok("rm", "--force", name);
    });
  });
}

test("a guest that floods its console is read slowly, and keeps nobody busy", async () => {
  await world.ok("create", "flood", "-t", "busybox", "--network", "none", "--start");
  const keeper = readFileSync(`${world.at.run}/flood/init`, "utf8").split(" ")[3];
  const bytesRead = () => Number(/rchar: (\d+)/.exec(readFileSync(`/proc/${keeper}/io`, "utf8"))?.[1]);
  const [before, since] = [bytesRead(), Date.now()];
  await world.berth("exec", "flood", "--", "sh", "-c", "timeout 3 yes 'a line of a flood' > /dev/console");
  const MiB = 2 ** 20;
  const most = (2 + (Date.now() - since) / 1000) * MiB;
  expect(bytesRead() - before).toBeGreaterThan(MiB / 2);
  expect(bytesRead() - before).toBeLessThan(most);
  expect(keepersQuota()).toBe("100000");
  await world.ok("rm", "--force", "flood");
});

/** Microseconds of each tenth of a second that all keepers have together: one processor. */
function keepersQuota(): string | undefined {
  const { v1, v2 } = cgroupLayout();
  const cpu = v1.find(({ controllers }) => controllers.includes("cpu"))?.mount;
  const file = cpu === undefined ? "cpu.max" : "cpu.cfs_quota_us";
  return readFileSync(`${cpu ?? v2}/${world.at.cgroup}/_keepers/${file}`, "utf8").split(/\s/)[0];
}

describe("what holds a guest, and what it was refused", () => {
  type Shown = { readonly layers: readonly { readonly layer: string; readonly verdict: string }[] };
  const verdicts = async (name: string) => {
    const { layers } = await world.json<Shown>("info", name, "--security");
    return Object.fromEntries(layers.map(({ layer, verdict }) => [layer, verdict]));
  };
  test("info --security reads the layers from the kernel, and shows one that is not there", async () => {
    const layers = await verdicts("deb");
    for (const layer of [
      "user namespace",
      "id range",
      "namespaces",
      "capabilities",
      "seccomp",
      "devices",
      "masks",
    ])
      expect([layer, layers[layer]]).toEqual([layer, "present"]);
    await world.ok("create", "bare", "-t", "busybox", "--network", "none", "--start");
    const masked = existsSync("/proc/kcore") ? "/proc/kcore" : "/proc/keys";
    await world.sh("bare", `umount ${masked}`);
    await world.ok("set", "bare", "--no-new-privs", "true");
    expect(await verdicts("bare")).toMatchObject({ masks: "missing", no_new_privs: "missing" });
    expect(await world.ok("info", "bare", "--security")).toContain(`uncovered ${masked}`);
  });
  test("security log names the call, and says what to switch on where nothing is logged", async () => {
    expect((await world.berth("security", "log", "bare")).stderr).toContain("--seccomp-log true");
    await world.ok("set", "bare", "--seccomp-log", "true", "--no-new-privs", "false");
    await world.ok("restart", "bare");
    type Log = { readonly refusals: readonly { readonly what: string; readonly program: string }[] };
    await until("the kernel's record", async () => {
      await world.berth("exec", "bare", "--", "dmesg");
      const { refusals } = await world.json<Log>("security", "log", "bare");
      return refusals.some(({ what, program }) => what === "syslog" && program === "dmesg");
    });
    await world.ok("rm", "--force", "bare");
  });
  test("check --strict fails where check does and for what is absent too", async () => {
    const { findings } = JSON.parse((await world.berth("check", "--json")).stdout) as {
      findings: readonly { readonly verdict: string }[];
    };
    const sound = findings.every(({ verdict }) => verdict === "present");
    expect((await world.berth("check", "--strict", "--quiet")).code).toBe(sound ? 0 : 7);
  });
});

test("a setting of system calls holds from the next start on", async () => {
  await world.ok(
    "create",
    "calls",
    "-t",
    "busybox",
    "--network",
    "none",
    "--seccomp-deny",
    "mkdir",
    "--start",
  );
  expect((await world.berth("exec", "calls", "--", "mkdir", "/root/x")).stderr).toMatch(/not permitted/);
  await world.ok("set", "calls", "--unset", "seccomp.deny");
  await world.ok("restart", "calls");
  await world.sh("calls", "mkdir /root/x");
  const { code, stderr } = await world.berth("set", "calls", "--seccomp-deny", "mkdri");
  expect([code, stderr]).toEqual([2, expect.stringContaining("did you mean mkdir?")]);
  await world.ok("rm", "--force", "calls");
});

describe("a privileged guest", () => {
  test("says so, boots clean, and still cannot reach the host's devices, kernel settings and log", async () => {
    const { stderr } = await world.berth("create", "root", "-t", "debian-13", "--privileged", "--start");
    expect(stderr).toContain("root in it is root on this host");
    await world.booted("root");
    expect(await world.ok("info", "root")).toContain("root in it is root on this host");
    const refused = async (line: string) =>
      (await world.berth("exec", "root", "--", "sh", "-c", line)).stderr;
    expect(await refused("mknod /root/disk b 7 0")).toMatch(/not permitted/);
    expect(await refused("echo 1 > /proc/sys/vm/overcommit_memory")).toMatch(/Read-only/);
    expect(await refused("dmesg")).toMatch(/not permitted/i);
    await world.ok("rm", "--force", "root");
  });
});
