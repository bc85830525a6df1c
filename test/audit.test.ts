/** `berth audit`: green on a default guest, red on opened ones, one layer at a time. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { accessSync, existsSync, constants as fileConstants } from "node:fs";
import { constants } from "node:os";
import type { Op } from "../src/kernel/plan.ts";
import { cgroupLayout } from "../src/resources/layout.ts";
import { type Audit, audit, byId, withoutLayer } from "./support/audit.ts";
import { berthBinary, leftovers, newWorld, until, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld("busybox");
  await world.ok("create", "guest", "-t", "busybox", "--start");
});
afterAll(() => world.end());

/** A layer more, which the lab's hosts have. */
const underApparmor = existsSync("/sys/kernel/security/apparmor/.replace");
const apparmor = underApparmor ? ["AppArmor"] : [];

const { ENOENT, ENOSYS, ENODEV, ENXIO, EOPNOTSUPP, EPERM, EACCES } = constants.errno;
/** Not where the programs lie on a read-only file system. */
function writable(path: string): boolean {
  try {
    accessSync(path, fileConstants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** How a host answers that has no such thing; and a root that lacks CAP_SYS_RESOURCE or may not open its disk. */
const absentErrnos = new Set([0, ENOENT, ENOSYS, ENODEV, ENXIO, EOPNOTSUPP, EPERM, EACCES]);

describe("a default guest", () => {
  let result: Audit & { code: number };
  beforeAll(async () => {
    result = await audit(world, "guest");
  });
  const layersOf = (id: string) => result.findings.find((finding) => finding.id === id)?.layers;

  test("nothing gets through", () => {
    const bad = result.findings.filter(({ root, user }) =>
      [root, user].some((verdict) => verdict === "through" || verdict === "lost"),
    );
    expect(bad).toEqual([]);
    expect(result).toMatchObject({ container: "guest", privileged: false, contained: true, code: 0 });
    expect(result.notes).toContain("guest has no memory limit: it may use up the host's");
  });
  test("sixty attempts and more are real here, each with its control in words", () => {
    expect(result.summary.blocked).toBeGreaterThanOrEqual(60);
    expect(new Set(result.findings.map(({ id }) => id)).size).toBe(result.findings.length);
    for (const { what, control } of result.findings) expect(what && control).not.toBe("");
  });
  test("what is absent is absent from the host itself", () => {
    const strange = result.findings.filter(
      ({ root, answer }) => root === "absent" && !absentErrnos.has(answer.errno),
    );
    expect(strange).toEqual([]);
  });
  test("every blocked attempt names the layer that was seen to stop it", () => {
    expect(result.findings.filter(({ root, layers }) => root === "blocked" && layers.length === 0)).toEqual(
      [],
    );
    expect(layersOf("dmesg")).toEqual(["seccomp", "user namespace", "capabilities"]);
    expect(layersOf("io-uring")).toEqual(["seccomp"]);
    expect(layersOf("core-pattern")).toEqual(["user namespace", ...apparmor]);
    expect(layersOf("dev-kmsg")).toEqual(["user namespace", "capabilities", "device rules"]);
    expect(layersOf("loopback")).toEqual(["network namespace"]);
    expect(layersOf("process-kill")).toEqual(["pid namespace", "user namespace"]);
    expect(layersOf("shm-file")).toEqual(["mount namespace"]);
    expect(layersOf("exhaust-processes")).toEqual(["limits"]);
    expect(layersOf("leaked-fd")).toEqual(["clean start"]);
  });
  test("the guest is as it was: its masks, its mounts, its files", async () => {
    expect(await world.sh("guest", "mount | grep -c berth-audit; ls -a / /tmp | grep -c audit; true")).toBe(
      "0\n0",
    );
    expect(await world.sh("guest", "mount | grep -c ' /proc/'")).not.toBe("0");
  });
  test("the masks may be gone: nothing depends on them", async () => {
    await world.sh(
      "guest",
      'mount | awk \'$3 ~ "^/(proc|sys)/" && $3 != "/sys/fs/cgroup" { print $3 }\' | sort -ru | xargs umount',
    );
    const ids = ["kallsyms", "timer-list", "proc-kmsg", "keyring-names", "irq-affinity"];
    expect(byId(await audit(world, "guest", ...ids))).toEqual(
      Object.fromEntries(ids.map((id) => [id, "blocked"])),
    );
  });
});

describe("an opened guest is found open", () => {
  type Layer = readonly [op: Op, word?: string];
  const cases: readonly {
    readonly without: readonly Layer[];
    readonly through: readonly string[];
    readonly held: readonly string[];
  }[] = [
    {
      without: [["seccomp"]],
      through: ["io-uring", "vsock", "nested-user", "clone3"],
      held: ["dmesg", "bpf-load", "keyring-read"],
    },
    {
      without: [["namespaces", "user"], ["apparmor"]],
      through: ["core-pattern", "mount-devtmpfs", "setuid-root", "drop-caches", "shared-account"],
      held: ["dmesg", "dev-kmsg", "host-file", "process-kill"],
    },
    {
      without: [
        ["namespaces", "pid"],
        ["namespaces", "mnt"],
      ],
      through: ["process-see", "shm-file"],
      held: ["process-kill", "process-memory", "proc-root", "join-mnt", "mount-disk"],
    },
    {
      without: [
        ["namespaces", "net"],
        ["namespaces", "ipc"],
      ],
      through: ["loopback", "abstract-socket", "sysv-memory", "message-queue"],
      held: ["sniff", "shm-file"],
    },
    {
      without: [["namespaces", "uts"], ["namespaces", "cgroup"], ["caps"]],
      through: [],
      held: ["host-name", "cgroup-top", "release-agent", "cgroup-limits", "dmesg", "set-clock", "kallsyms"],
    },
  ];
  for (const { without, through, held } of cases)
    test(`without ${without.map(([op, word]) => word ?? op).join(", ")}: ${through.length} get through, the next layer holds ${held.length}`, async () => {
      await world.ok("restart", "--kill", "guest");
      for (const [op, word] of without) withoutLayer(world, "guest", op, word);
      const result = await audit(world, "guest", ...through, ...held);
      const real = result.findings.filter(({ root }) => root !== "absent");
      expect(byId({ findings: real })).toEqual(
        Object.fromEntries(real.map(({ id }) => [id, through.includes(id) ? "through" : "blocked"])),
      );
      expect(real.map(({ id }) => id)).toEqual(expect.arrayContaining([...through]));
      expect(result.code).toBe(through.length > 0 ? 1 : 0);
    });
});

test.skipIf(!underApparmor)("without a user namespace AppArmor holds what it knows by name", async () => {
  await world.ok("restart", "--kill", "guest");
  withoutLayer(world, "guest", "namespaces", "user");
  expect(byId(await audit(world, "guest", "core-pattern", "modprobe-path", "drop-caches"))).toEqual({
    "core-pattern": "blocked",
    "modprobe-path": "blocked",
    "drop-caches": "through",
  });
});

test("a privileged guest is red, and says so", async () => {
  const limits = ["--memory", "64M", "--pids", "100"];
  await world.ok(
    "create",
    "root",
    "-t",
    "busybox",
    "--privileged",
    ...limits,
    "--start",
    "--network",
    "none",
  );
  const ids = [
    "core-pattern",
    "mount-disk",
    "dmesg",
    "dev-kmsg",
    "self-exe",
    "cgroup-limits",
    "cgroup-devices",
  ];
  const result = await audit(world, "root", ...ids);
  const devicesOnV1 = cgroupLayout().v1.some(({ controllers }) => controllers.includes("devices"));
  expect(byId(result)).toEqual({
    "core-pattern": underApparmor ? "blocked" : "through",
    "mount-disk": "through",
    dmesg: "blocked",
    "dev-kmsg": "blocked",
    "self-exe": writable(berthBinary) ? "blocked" : "absent",
    "cgroup-limits": "blocked",
    "cgroup-devices": devicesOnV1 ? "blocked" : "absent",
  });
  expect(result).toMatchObject({ privileged: true, contained: false, code: 1 });
  const { stdout } = await world.berth("audit", "root", "--only", "dmesg");
  expect(stdout).toContain("root is privileged: root in it is root on this host");
  await world.ok("rm", "--force", "root");
});

describe("the command", () => {
  test("--list names the attempts, their controls and CVEs", async () => {
    const list = await world.json<{ id: string; cve: string }[]>("audit", "--list");
    expect(list.length).toBeGreaterThan(100);
    expect(list.find(({ id }) => id === "self-exe")?.cve).toBe("CVE-2019-5736");
  });
  test("--host shows that they are real", async () => {
    const { findings } = await world.json<Audit>("audit", "--host", "--only", "dmesg", "--only", "leaked-fd");
    expect(byId({ findings })).toEqual({ dmesg: "through", "leaked-fd": "through" });
  });
  test("says what is wrong with its words", async () => {
    const cases = [
      [["audit"], 2, "name one container"],
      [["audit", "guest", "--host"], 2, "name one container"],
      [["audit", "guest", "--only", "dmseg"], 2, "did you mean dmesg?"],
      [["audit", "nobody"], 3, "there is no container"],
    ] as const;
    for (const [words, code, text] of cases) {
      const result = await world.berth(...words);
      expect(result.code).toBe(code);
      expect(result.stderr).toContain(text);
    }
  });
  test("a guest that does not run, or is frozen, is not audited", async () => {
    await world.ok("freeze", "guest");
    expect((await world.berth("audit", "guest")).stderr).toContain("is frozen");
    await world.ok("thaw", "guest");
    await world.ok("create", "down", "-t", "busybox", "--network", "none");
    expect((await world.berth("audit", "down")).code).toBe(5);
    await world.ok("rm", "down");
  });
  test("one that is killed leaves nothing that the next does not take away", async () => {
    const child = Bun.spawn([berthBinary, "audit", "guest"], {
      env: world.env,
      stdout: "ignore",
      stderr: "ignore",
    });
    await until("the audit's own guest", () => leftovers(world.at).some((what) => what.includes("_audit")));
    child.kill("SIGKILL");
    await child.exited;
    expect((await audit(world, "guest", "dmesg")).code).toBe(0);
    expect(leftovers(world.at).filter((what) => what.includes("audit"))).toEqual([]);
  });
});
