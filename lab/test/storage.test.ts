/** Driver project on stock kernels: ext4 and XFS scratch disks, limits that hold, no way around them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { needTemplates, templateCache } from "../../test/support/world.ts";
import { type Host, hostKinds, isKindName, type KindName, lab } from "../lab.ts";
import { berthPayload, giveBerth } from "../payload.ts";

const kinds = Object.keys(hostKinds).filter(isKindName);
/** CI has time for one kind; the other runs the same code on an older kernel. */
const wanted =
  process.env.BERTH_LAB_KINDS?.split(",") ??
  (process.env.BERTH_LAB_CI === undefined ? kinds : kinds.slice(0, 1));
const inCi = process.env.BERTH_LAB_CI !== undefined;
const noTime = (left: boolean): string => (inCi && left ? " SKIP: CI has no time for it" : "");
const memory = 2048;
const minutes = 60_000;
const MiB = 2 ** 20;

/** FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR with project id 0; quotactl and quotactl_fd: what each says. */
const escapes = `
  open my $d, "<", "/root" or die; my $x = "\\0" x 28;
  ioctl($d, 0x801c581f, $x); substr($x, 0, 4) = pack("L", 0); substr($x, 12, 4) = pack("L", 0);
  print "fssetxattr ", (ioctl($d, 0x401c5820, $x) ? "passed" : "refused"), "\\n";
  my $q = pack("Q9", (0) x 9);
  my $set = 0x80000802; my $dev = "/dev/sda"; my $r;
  $r = syscall(443, fileno($d), $set, 1, $q); print "quotactl_fd ", ($r == 0 ? "passed" : "refused"), "\\n";
  $r = syscall(179, $set, $dev, 1, $q); print "quotactl ", ($r == 0 ? "passed" : "refused"), "\\n";
`;

/** Makes volumes of two drivers in turns, as a create does; prints the medians. Emulation is slow: only their ratio says much. */
const makeVolumes = `
  import { storageDriver } from "./src/storage/drivers.ts";
  const took = { project: [], plain: [] };
  for (let round = 0; round < 21; round += 1)
    for (const name of ["project", "plain"]) {
      const driver = storageDriver(name), since = performance.now();
      await driver.create("t-made", { bytes: 64 << 20, inodes: 1000 });
      took[name].push(performance.now() - since);
      await driver.remove("t-made");
    }
  const median = (list) => Math.round(list.sort((a, b) => a - b)[10] * 10) / 10;
  console.log(JSON.stringify({ project: median(took.project), plain: median(took.plain) }));
`;

let payload: string;
beforeAll(async () => {
  await needTemplates("busybox", "debian-12", "debian-13");
  payload = await berthPayload(templateCache);
});
afterAll(() => lab.close());

for (const kind of kinds) {
  if (wanted.includes(kind)) describe(kind, () => suiteOn(kind));
  else test.skip(`${kind} SKIP: not in BERTH_LAB_KINDS, or not in CI`, () => undefined);
}

function suiteOn(kind: KindName): void {
  let host: Host;
  const ok = async (line: string): Promise<string> =>
    (await host.run(line, { timeout: 4 * minutes })).stdout.trim();
  const guest = (line: string) =>
    host.run(["berth", "exec", "web", "--", "sh", "-c", line], { allow: true, timeout: 2 * minutes });

  beforeAll(async () => {
    await lab.prepare(kind, memory);
    host = await lab.host("h1", { kind, payload, memory });
    await giveBerth(host);
  }, 5 * minutes);
  afterAll(() => host?.close());

  test(
    "the shared cases, for every driver (in CI for project: the others run on any machine)",
    async () => {
      const { code, stderr } = await host.run(
        `cd /payload && BERTH_TEST_POOLS='ext4:/dev/vdb xfs:/dev/vdc' ./bun test --timeout 120000 ./src/storage/drivers.test.ts ./src/storage/btrfs.test.ts ${inCi ? "-t project" : ""}`,
        { allow: true, timeout: 6 * minutes },
      );
      if (code !== 0) throw new Error(stderr.replaceAll(/^/gm, "  | "));
      expect(stderr).toMatch(/\b[1-9]\d* pass/);
    },
    7 * minutes,
  );

  for (const [fs, disk] of [
    ["ext4", "/dev/vdb"],
    ["xfs", "/dev/vdc"],
  ] as const) {
    describe(fs, () => {
      test.skipIf(inCi)(
        `making and limiting a volume takes no longer than twice what making one without limits does${noTime(true)}`,
        async () => {
          await ok(`berth pool create --device ${disk} --fs ${fs} --wipe`);
          const milliseconds = JSON.parse(await ok(`cd /payload && ./bun -e '${makeVolumes}'`)) as {
            project: number;
            plain: number;
          };
          process.stderr.write(`${kind} ${fs}: a volume of ${JSON.stringify(milliseconds)} ms\n`);
          expect(milliseconds.project).toBeLessThan(2 * milliseconds.plain);
          await ok("berth pool rm && rmdir /var/lib/berth/pool/plain");
        },
        5 * minutes,
      );

      test(
        "a guest gets the limits, feels changes at once, and df tells the truth",
        async () => {
          await ok(`berth pool create --device ${disk} --fs ${fs} --wipe`);
          await ok(
            "berth create web -t debian-13 --disk 100M --inodes 2000 --init /bin/sleep --init inf --start",
          );
          expect(JSON.parse(await ok("berth info web --json"))).toMatchObject({ storage: "project" });
          expect((await guest("df -k / | tail -1 | tr -s ' ' | cut -d' ' -f2")).stdout.trim()).toBe("102400");
          expect((await guest("df -i / | tail -1 | tr -s ' ' | cut -d' ' -f2")).stdout.trim()).toBe("2000");
          const full = await guest("dd if=/dev/zero of=/root/full bs=1M count=200");
          expect(full.code).not.toBe(0);
          expect(full.stderr).toMatch(/quota|No space/i);
          expect(Number((await guest("stat -c %s /root/full")).stdout)).toBeLessThanOrEqual(100 * MiB);
          await ok("berth set web --disk 150M --inodes 3000");
          await guest("dd if=/dev/zero of=/root/more bs=1M count=30");
          expect(Number((await guest("stat -c %s /root/more")).stdout)).toBe(30 * MiB);
          expect((await guest("df -k / | tail -1 | tr -s ' ' | cut -d' ' -f2")).stdout.trim()).toBe("153600");
          const less = await host.run("berth set web --disk 64M", { allow: true });
          expect(less.code).toBe(1);
          expect(less.stderr).toContain("holds too much");
          const many = await guest(
            "rm /root/full; mkdir /root/m && cd /root/m && for i in $(seq 3000); do : > $i || exit 1; done",
          );
          expect(many.code).not.toBe(0);
          expect(await ok("berth pool check")).toContain("sound");
        },
        10 * minutes,
      );

      test(
        "above a soft limit a guest is marked, and refused more once the grace is over",
        async () => {
          await ok("mkdir -p /etc/berth && echo 'disk-grace: 8s' > /etc/berth/berth.yaml");
          await ok("berth set web --disk 20M:150M --inodes 3000");
          await guest("rm -rf /root/*; dd if=/dev/zero of=/root/some bs=1M count=30 conv=fsync");
          expect(await ok("berth ls web")).toMatch(/30[.\d]*M\/150M!/);
          const { disk } = JSON.parse(await ok("berth info web --json")) as {
            disk: { over: { until: string | null } };
          };
          expect(disk.over.until).toMatch(/^20/);
          expect((await guest("df -k / | tail -1 | tr -s ' ' | cut -d' ' -f2")).stdout.trim()).toBe("20480");
          await ok("sleep 9");
          const late = await guest("dd if=/dev/zero of=/root/more bs=1M count=5 conv=fsync");
          expect(late.code).not.toBe(0);
          await ok("berth set web --disk 150M && rm /etc/berth/berth.yaml");
          expect((await guest("dd if=/dev/zero of=/root/more bs=1M count=5 conv=fsync")).code).toBe(0);
          expect(await ok("grep -c disk-soft /var/log/berth/events.jsonl")).toBe("2");
          await ok("rm /var/log/berth/events.jsonl");
        },
        5 * minutes,
      );

      test(
        "no guest gets out of its quota, privileged or not",
        async () => {
          await ok(
            "berth create root -t debian-13 --disk 100M --privileged --init /bin/sleep --init inf --start",
          );
          for (const name of ["web", "root"]) {
            const { stdout } = await host.run(["berth", "exec", name, "--", "perl", "-e", escapes]);
            expect(stdout.trim().split("\n")).toEqual([
              "fssetxattr refused",
              "quotactl_fd refused",
              "quotactl refused",
            ]);
            const chattr = await host.run(["berth", "exec", name, "--", "chattr", "-p", "0", "/root"], {
              allow: true,
            });
            expect(chattr.code).not.toBe(0);
          }
          const fill = await host.run(
            ["berth", "exec", "root", "--", "dd", "if=/dev/zero", "of=/full", "bs=1M", "count=200"],
            { allow: true },
          );
          expect(fill.code).not.toBe(0);
          await ok("berth rm --force root");
        },
        5 * minutes,
      );

      test(
        "a pool that is not mounted is mounted by the command that needs it",
        async () => {
          await guest("rm -rf /root/*; echo kept > /root/kept; sync");
          await ok("berth stop --kill web && umount /var/lib/berth/pool/project");
          await ok("berth start web");
          expect((await guest("cat /root/kept")).stdout.trim()).toBe("kept");
          const busy = await host.run("berth pool rm", { allow: true });
          expect(busy.code).toBe(5);
          await ok("berth rm --force web");
          expect(await ok("ls /var/lib/berth/leases/project; berth pool check")).toBe("pool project: sound");
          await ok("berth pool rm");
          expect(await ok("ls -A /var/lib/berth/pool; grep -c berth/pool /proc/mounts || true")).toBe("0");
        },
        5 * minutes,
      );
    });
  }

  test(
    "the disk of a running guest on an image grows at once, also after a set that was killed",
    async () => {
      await ok("berth create grow -t busybox --network none --storage image --disk 64M --start");
      await ok("berth exec grow -- sh -c 'echo kept > /root/kept'");
      for (const [seconds, size] of [
        ["0.3", "128M"],
        ["0.6", "192M"],
        ["0.9", "256M"],
      ])
        await host.run(`timeout -s KILL ${seconds} berth set grow --disk ${size}`, { allow: true });
      expect(await ok("berth set grow --disk 400M --description grown")).toBe("grow: set");
      await ok("berth exec grow -- dd if=/dev/zero of=/root/full bs=1M count=300 conv=fsync");
      expect(
        Number(await ok("berth exec grow -- df -k / | tail -1 | tr -s ' ' | cut -d' ' -f2")),
      ).toBeGreaterThan(360 * 1024);
      const less = await host.run("berth set grow --disk 64M", { allow: true });
      expect([less.code, less.stderr]).toEqual([5, expect.stringContaining("berth stop grow")]);
      await ok("berth stop --kill grow && e2fsck -fn /var/lib/berth/pool/image/*.img");
      await ok("berth start grow");
      expect(await ok("berth exec grow -- cat /root/kept")).toBe("kept");
      await ok("berth rm --force grow");
    },
    5 * minutes,
  );

  for (const storage of ["image", "project"] as const)
    test.skipIf(inCi && storage === "project")(
      `users and groups inside a guest on ${storage} get limits of their own, running or stopped${noTime(storage === "project")}`,
      async () => {
        if (storage === "project") await ok("berth pool create --device /dev/vdb --wipe");
        await ok(
          `berth create many -t debian-13 --network none --storage ${storage} --disk 200M --quota-users yes --init /bin/sleep --init inf`,
        );
        await ok("berth quota set many --user www-data --disk 10M:20M --inodes 100");
        await ok("berth start many && berth exec many -- chmod 1777 /var/tmp");
        const write = (user: string, mebibytes: number) =>
          host.run(
            `berth exec -u ${user} many -- sh -c 'rm -f /var/tmp/${user}; dd if=/dev/zero of=/var/tmp/${user} bs=1M count=${mebibytes} conv=fsync'`,
            { allow: true },
          );
        expect((await write("www-data", 40)).stderr).toMatch(/quota/i);
        expect((await write("games", 40)).code).toBe(0);
        await ok("berth quota set many --group games --disk 60M");
        expect((await write("games", 80)).stderr).toMatch(/quota/i);
        const { quotas } = JSON.parse(await ok("berth quota ls many --json")) as {
          quotas: readonly {
            name: string;
            id: number;
            usedBytes: number;
            disk: number;
            until: string | null;
          }[];
        };
        const web = quotas.find(({ id }) => id === 33);
        expect(web).toMatchObject({ name: "www-data", disk: 20 * MiB });
        expect(web?.usedBytes).toBeGreaterThan(19 * MiB);
        expect(web?.until).toMatch(/^20/);
        expect(await ok("berth quota ls many --group")).toMatch(/games +60 .* 60M/);
        // Another volume takes its place: the limits go along.
        await ok("berth stop --kill many && berth snapshot create many s && berth snapshot restore many s");
        expect(await ok("berth quota ls many --group")).toMatch(/games .* 60M/);
        await ok("berth quota set many --user 33 --disk none && berth start many");
        expect((await write("www-data", 40)).code).toBe(0);
        const nobody = await host.run("berth quota set many --user no-such --disk 1M", { allow: true });
        expect([nobody.code, nobody.stderr]).toEqual([2, expect.stringContaining("no-such")]);
        await ok("berth stop --kill many");
        if (storage === "image")
          await ok("for image in /var/lib/berth/pool/image/*.img; do e2fsck -fn $image || exit; done");
        await ok("berth rm many");
        if (storage === "project") await ok("berth pool rm");
      },
      5 * minutes,
    );

  test.skipIf(inCi)(
    `a disk that goes away: the guest is told, the pool check names it, and when it is back all is there${noTime(true)}`,
    async () => {
      const driver = "/sys/bus/virtio/drivers/virtio_blk";
      const disk = await ok("basename $(readlink -f /sys/block/vdb/device)");
      await ok("berth pool create --device /dev/vdb --wipe");
      await ok("berth create web -t busybox --network none --disk 100M --start");
      await ok("berth exec web -- sh -c 'echo kept > /root/kept; sync'");
      await ok(`echo ${disk} > ${driver}/unbind`);
      const lost = await host.run(
        "berth exec web -- sh -c 'echo more > /root/more; sync; echo x > /root/x'",
        {
          allow: true,
        },
      );
      expect(lost.stderr).toMatch(/Read-only|I\/O error|Input\/output/i);
      const check = await host.run("berth pool check", { allow: true });
      expect(check.code).toBe(1);
      expect(check.stdout).toMatch(/cannot be written to/);
      await ok("berth stop --kill web; umount /var/lib/berth/pool/project");
      const gone = await host.run("berth start web", { allow: true });
      expect(gone.stderr).toContain("/dev/vdb");
      await ok(`echo ${disk} > ${driver}/bind; udevadm settle`);
      expect((await host.run("e2fsck -fy /dev/vdb", { allow: true })).code).toBeLessThanOrEqual(2);
      await ok("berth start web");
      expect(await ok("berth exec web -- cat /root/kept")).toBe("kept");
      expect(await ok("berth pool check")).toBe("pool project: sound");
      await ok("berth rm --force web && berth pool rm");
    },
    5 * minutes,
  );

  test(
    "a pool in a file grows while it is mounted",
    async () => {
      await ok("berth pool create --size 512M");
      await ok("berth pool grow --size 1G && berth pool trim");
      const { pools } = JSON.parse(await ok("berth pool info --json")) as {
        pools: readonly { size: number }[];
      };
      expect(pools[0]?.size).toBeGreaterThan(800 * MiB);
      await ok("berth pool rm");
      expect(await ok("losetup -l --noheadings; ls -A /var/lib/berth/pool | grep -vx image || true")).toBe(
        "",
      );
    },
    5 * minutes,
  );
}
