/**
 * A pool on a disk that begins to fail (dm-flakey): berth names pool and disk, guests are told, and what was synced is there
 * when the disk is well again.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { needTemplates, templateCache } from "../../test/support/world.ts";
import { type Host, hostKinds, isKindName, type KindName, lab } from "../lab.ts";
import { berthPayload, giveBerth } from "../payload.ts";

const kinds = Object.keys(hostKinds).filter(isKindName);
const wanted = process.env.BERTH_LAB_KINDS?.split(",") ?? kinds;
const inCi = process.env.BERTH_LAB_CI !== undefined;
const memory = 2048;
const minutes = 60_000;

/**
 * A disk /dev/dm-0 over another one, by ioctls (linux/dm-ioctl.h): `perl dm.pl TARGET PARAMETERS` makes it, or gives it that
 * table while it is in use: no frozen file system, no flush, as a disk that fails would not wait either.
 */
const deviceMapper = `
use strict;
my ($target, $parameters) = @ARGV;
open my $control, "+<", "/dev/mapper/control" or die "control: $!";
open my $size, "<", "/sys/block/vdb/size" or die "size: $!";
chomp(my $sectors = <$size>);
sub call {
  my ($command, $flags, $tables) = @_;
  my $length = 312 + length $tables;
  my $data = pack("L3 L L L l L L L Q a128 a129 x7", 4, 0, 0, $length, 312, length $tables ? 1 : 0, 0, $flags, 0, 0, 0, "flaky", "") . $tables;
  return ioctl($control, 0xc138fd00 | $command, $data);
}
my $text = $parameters . "\\0" x (8 - length($parameters) % 8);
my ($made, $suspended, $noflush, $nofreeze) = (call(3, 0, ""), 2, 2048, 1024);
call(6, $suspended | $noflush | $nofreeze, "") or die "suspend: $!" unless $made;
call(9, 0, pack("Q Q l L a16", 0, $sectors, 0, 40 + length $text, $target) . $text) or die "table: $!";
call(6, 0, "") or die "resume: $!";
`;
const well = "perl /root/dm.pl linear '/dev/vdb 0'";
/** It is up for no second and down for the rest of the test. */
const writesFail = "perl /root/dm.pl flakey '/dev/vdb 0 0 36000 1 error_writes'";
const allFails = "perl /root/dm.pl flakey '/dev/vdb 0 0 36000'";

let payload: string;
beforeAll(async () => {
  if (inCi) return;
  await needTemplates("busybox", "debian-12", "debian-13");
  payload = await berthPayload(templateCache);
});
afterAll(() => lab.close());

for (const kind of kinds) {
  if (wanted.includes(kind) && !inCi) describe(kind, () => suiteOn(kind));
  else test.skip(`a disk that fails on ${kind} SKIP: not in BERTH_LAB_KINDS, or CI`, () => undefined);
}

function suiteOn(kind: KindName): void {
  let host: Host;
  const ok = async (line: string): Promise<string> =>
    (await host.run(line, { timeout: 3 * minutes })).stdout.trim();
  const fails = (line: string) => host.run(line, { timeout: 3 * minutes, allow: true });

  beforeAll(async () => {
    await lab.prepare(kind, memory);
    host = await lab.host("h1", { kind, payload, memory });
    await giveBerth(host);
    await ok(`modprobe dm-flakey && cat > /root/dm.pl << 'END'\n${deviceMapper}\nEND`);
  }, 5 * minutes);
  afterAll(() => host?.close());

  for (const fs of ["ext4", "xfs"] as const)
    for (const [what, fail] of [
      ["writes", writesFail],
      ["everything", allFails],
    ] as const)
      test(
        `${fs}: ${what} fails`,
        async () => {
          await ok(well);
          await ok(`berth pool create --device /dev/dm-0 --fs ${fs} --wipe`);
          await ok("berth create web -t busybox --network none --disk 100M --start");
          await ok("berth create idle -t busybox --network none --disk 100M");
          await ok("berth exec web -- sh -c 'echo kept > /root/kept; sync'; sync");
          expect((await fails("berth ls")).stderr).toBe("");

          await ok(fail);
          const inGuest = await fails(
            "berth exec web -- sh -c 'echo more > /root/more; sync; echo x > /root/x'",
          );
          // Whatever the guest has tried: the file system's log is written now, and cannot be.
          await fails("mkdir /var/lib/berth/pool/project/.probe; sync -f /var/lib/berth/pool/project");
          expect(inGuest.stderr).toMatch(/I\/O error|Input\/output|Read-only|Structure needs/i);
          const named = /disk under pool project fails \(\/dev\/dm-0\)/;
          const listed = await fails("berth ls");
          expect([listed.code, listed.stdout]).toEqual([0, expect.stringContaining("web")]);
          expect(listed.stderr).toMatch(named);
          expect((await fails("berth info web")).stderr).toMatch(named);
          const events = await ok("grep -h disk-fails /var/log/berth/events.jsonl");
          expect(events.split("\n").map((line) => JSON.parse(line).container)).toEqual(["idle", "web"]);
          const check = await fails("berth pool check");
          expect([check.code, check.stdout]).toEqual([1, expect.stringContaining("/dev/dm-0")]);
          const create = await fails("berth create new -t busybox --network none --disk 50M");
          expect([create.code, create.stderr]).toEqual([1, expect.stringMatching(named)]);
          const start = await fails("berth start idle");
          expect([start.code, start.stderr]).toEqual([1, expect.stringMatching(named)]);

          await ok("berth stop --kill web; umount /var/lib/berth/pool/project");
          await ok(well);
          await mend(fs);
          await ok("berth start web && berth start idle");
          expect(await ok("berth exec web -- cat /root/kept")).toBe("kept");
          await ok("berth ls --names");
          expect(await ok("grep -hc disk-fails-end /var/log/berth/events.jsonl")).toBe("2");
          expect(await ok("berth pool check")).toBe("pool project: sound");
          expect(await ok("berth ls --names")).toBe("idle\nweb");
          await ok("berth rm --force --all && berth pool rm && rm /var/log/berth/events.jsonl");
        },
        8 * minutes,
      );

  /** What docs/storage.md tells the operator to do. */
  async function mend(fs: "ext4" | "xfs"): Promise<void> {
    if (fs === "ext4") {
      expect((await fails("e2fsck -fy /dev/dm-0")).code).toBeLessThanOrEqual(1);
      return;
    }
    // The log is replayed by a mount, and a check looks at what that made.
    await ok(
      "mkdir -p /root/m && mount -o prjquota /dev/dm-0 /root/m && umount /root/m && xfs_repair -n /dev/dm-0",
    );
  }
}
