/** What berth needs of a real host's kernel, on every host kind. BERTH_LAB_KINDS (names by commas) makes it fewer. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Host, hostKinds, isKindName, type KindName, lab } from "../lab.ts";

const kinds = Object.keys(hostKinds).filter(isKindName);
const wanted = process.env.BERTH_LAB_KINDS?.split(",") ?? kinds;

/** How much slower than alone on two cores a machine that does other work may be. */
const noise = 3;

async function seconds(work: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

for (const kind of kinds) {
  const { kernel } = hostKinds[kind];
  if (wanted.includes(kind)) describe(kind, () => kindTests(kind, kernel));
  else test.skip(`${kind} SKIP: not in BERTH_LAB_KINDS`, () => undefined);
}

function kindTests(kind: KindName, kernel: string): void {
  let host: Host;

  beforeAll(async () => {
    await lab.prepare(kind);
    host = await lab.host("h1", { kind });
  });
  afterAll(() => host?.close());

  test(`runs the stock kernel ${kernel}`, async () => {
    expect((await host.run("uname -r")).stdout).toStartWith(`${kernel}.`);
  });

  test("is ready in seconds, also as two", async () => {
    const one = await seconds(async () => await (await lab.host("one", { kind })).close());
    const two = await seconds(async () => await (await lab.pair({ kind })).close());
    process.stderr.write(`${kind}: one host in ${one.toFixed(1)} s, a pair in ${two.toFixed(1)} s\n`);
    expect(one).toBeLessThan(10 * noise);
    expect(two).toBeLessThan(15 * noise);
  });

  test("has AppArmor on, and it denies", async () => {
    expect((await host.run("cat /sys/kernel/security/lsm")).stdout).toContain("apparmor");
    await host.run(["apparmor_parser", "-r"], {
      stdin: "profile lab-test { file, deny /etc/shadow r, }\n",
    });
    await host.run("cat /etc/shadow > /dev/null");
    const denied = await host.run("aa-exec -p lab-test -- cat /etc/shadow", { allow: true });
    expect(denied.stderr).toContain("Permission denied");
  });

  test("has pure cgroup v2 with memory, pids, cpu, io", async () => {
    expect((await host.run("stat -fc %T /sys/fs/cgroup")).stdout).toBe("cgroup2fs\n");
    const controllers = (await host.run("cat /sys/fs/cgroup/cgroup.controllers")).stdout.trim().split(" ");
    for (const controller of ["cpu", "io", "memory", "pids"]) expect(controllers).toContain(controller);
  });

  test("enforces ext4 project quota", async () => {
    await host.run(
      "mkfs.ext4 -q -F -O quota,project /dev/vdb && mkdir -p /q && mount -o prjquota /dev/vdb /q",
    );
    await host.run("mkdir /q/c1 && chattr +P -p 1001 /q/c1 && setquota -P 1001 0 20480 0 0 /q");
    // a holder of CAP_SYS_RESOURCE passes ext4's limits (ignore_hardlimit in linux/fs/quota/dquot.c)
    const dd = "setpriv --bounding-set=-sys_resource dd if=/dev/zero of=/q/c1/big bs=1M count=40";
    const over = await host.run(`LC_ALL=C ${dd}`, { allow: true });
    expect(over.stderr).toContain("Disk quota exceeded");
    expect(Number((await host.run("stat -c %s /q/c1/big")).stdout)).toBeLessThanOrEqual(20_971_520);
    await host.run("umount /q");
  });

  test("enforces XFS project quota, and has btrfs", async () => {
    await host.run("mkfs.xfs -q -f /dev/vdc && mkdir -p /x && mount -o pquota /dev/vdc /x && mkdir /x/c1");
    await host.run(
      "xfs_quota -x -c 'project -s -p /x/c1 1002' /x && xfs_quota -x -c 'limit -p bhard=20m 1002' /x",
    );
    const over = await host.run("dd if=/dev/zero of=/x/c1/big bs=1M count=40", { allow: true });
    expect(over.code).toBe(1);
    await host.run(
      "umount /x && mkfs.btrfs -q -f /dev/vdc && mount /dev/vdc /x && btrfs subvolume create /x/s && umount /x",
    );
  });

  test("tracks dirty memory for CRIU", async () => {
    await host.run("criu check --feature mem_dirty_track");
    await host.run("criu check");
  });

  test("has lxcfs, /proc/sysrq-trigger and /proc/kcore", async () => {
    await host.run("systemctl is-active lxcfs && test -r /var/lib/lxcfs/proc/meminfo");
    await host.run("test -w /proc/sysrq-trigger && test -r /proc/kcore");
  });
}

afterAll(() => lab.close());
