/**
 * Holes that other container runtimes had, tried on berth. Each test is named by its CVE and says how berth is built against
 * it; those that cannot apply are listed in docs/security.md.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { sha256 } from "../src/base/digest.ts";
import { audit } from "./support/audit.ts";
import { berthBinary, newWorld, run, type World } from "./support/world.ts";

/** A guest with perl that is up at once. */
const sleeper = [
  "-t",
  "debian-13",
  "--network",
  "none",
  "--init",
  "/bin/sleep",
  "--init",
  "infinity",
  "--start",
];

let world: World;
beforeAll(async () => {
  world = await newWorld("debian-13");
  await world.ok("create", "deb", ...sleeper);
  await world.ok("create", "root", ...sleeper, "--privileged");
});
afterAll(() => world.end());

const programs = ["berth", "berth-launch", "berth-seccomp", "berth-audit"].map(
  (name) => `${dirname(berthBinary)}/${name}`,
);

const known = [
  // A link or a directory of a hostile disk where berth mounts or writes: every path of a guest is walked by openat2 below its
  // root, no link followed; what must be a device or a file of berth's is made anew.
  ["CVE-2015-1335", ["trap-run", "trap-shm"]],
  ["CVE-2019-19921", ["trap-proc"]],
  ["CVE-2021-30465", ["trap-dev"]],
  ["CVE-2023-27561", ["trap-sys"]],
  ["CVE-2024-45310", ["trap-etc", "trap-hosts", "trap-resolv-conf", "trap-machine-id"]],
  // The mask is the guest's own /dev/null, looked at before it is bound, and what is seen there is looked at afterwards.
  ["CVE-2025-31133", ["trap-null"]],
  // The console is a directory of the keeper's own devpts, bound by descriptor.
  ["CVE-2025-52565", ["trap-console", "trap-console-dir", "trap-pts"]],
  // exec closes all, and starts from no directory of the host's.
  ["CVE-2024-21626", ["leaked-fd", "own-cwd", "proc-cwd"]],
  // Nothing is inheritable.
  ["CVE-2022-29162", ["inheritable-caps"]],
  // No user namespaces in guests, ownership of the hierarchy's root, a cgroup namespace.
  ["CVE-2022-0492", ["release-agent", "nested-cgroup", "nested-user"]],
  ["CVE-2023-25809", ["cgroup-top", "cgroup-limits"]],
] as const;

test(`attempts of the audit: ${known.map(([cve]) => cve).join(", ")}`, async () => {
  const ids = known.flatMap(([, some]) => some);
  const { findings } = await audit(world, "deb", ...ids);
  expect(findings.map(({ id }) => id).sort()).toEqual([...ids].sort());
  expect(findings.filter(({ root, user }) => /through|lost/.test(`${root} ${user}`))).toEqual([]);
});

/** How long no command runs in the guest before the watcher tries. */
const QUIET_MS = 3000;

/** Looks at every process that is, or was a moment ago, berth's on its way into the guest, and tries to use it. */
const watcher = `
my ($secret) = @ARGV;
my (%said, @held);
until (-e "/stop") {
  opendir(my $proc, "/proc") or die;
  for my $pid (grep { /^\\d+$/ && $_ != $$ && $_ != 1 } readdir $proc) {
    my $exe = readlink("/proc/$pid/exe") // "";
    my $ours = $exe =~ /berth/;
    $said{"saw it"} = 1 if $ours;
    if ($ours && @held < 50 && open(my $f, "<", "/proc/$pid/exe")) { push @held, $f }
    $said{"came out by cwd"} = 1 if -e "/proc/$pid/cwd/" . ("../" x 32) . $secret;
    $said{"came out by root"} = 1 if -e "/proc/$pid/root/$secret";
    next unless $ours && opendir(my $fds, "/proc/$pid/fd");
    for my $fd (grep { /^\\d+$/ } readdir $fds) {
      my $at = "/proc/$pid/fd/$fd";
      $said{"came out by a descriptor"} = 1 if -d $at && -e "$at/" . ("../" x 32) . $secret;
    }
  }
}
# A program can be written to once nobody runs it. The byte is the one that is there.
sleep ${QUIET_MS / 1000};
for my $f (@held) {
  my $w;
  $said{"wrote"} = 1 if open($w, "+<", "/proc/self/fd/" . fileno $f) && (syswrite($w, "\\x7f") // 0) == 1;
}
print map { "$_\\n" } sort keys %said;
`;

describe.each(["deb", "root"])("a watcher in %s", (name) => {
  test("CVE-2016-9962, CVE-2019-5736: neither gets out by a command on its way in, nor changes the program that brings it", async () => {
    // Nobody can write to a program that runs: neither a keeper nor a relay may run it when the watcher tries.
    const other = name === "deb" ? "root" : "deb";
    await world.ok("stop", "--kill", other);
    const secret = `${world.root}/secret`;
    writeFileSync(secret, "");
    const before = programs.map((file) => sha256(readFileSync(file)));
    await world.ok("exec", name, "--", "sh", "-c", "printf '#!/proc/self/exe\\n' > /evil; chmod 755 /evil");
    await run([berthBinary, "exec", name, "--", "sh", "-c", "cat > /watcher"], {
      env: world.env,
      input: watcher,
    });
    await world.sh(name, `setsid perl /watcher ${secret} < /dev/null > /said 2>&1 &`);
    for (let round = 0; round < 6; round++) {
      // The script has the kernel run the very program that is just bringing it.
      await world.berth("exec", name, "--", "/evil");
      await world.berth("exec", name, "--", "true");
    }
    await world.ok("exec", name, "--", "touch", "/stop");
    await Bun.sleep(QUIET_MS + 1000);
    expect(await world.sh(name, "cat /said")).toBe("saw it");
    expect(programs.map((file) => sha256(readFileSync(file)))).toEqual(before);
    await world.ok("start", other);
  });

  test("CVE-2024-21626: no working directory is a descriptor of the host's", async () => {
    for (const fd of [3, 4, 5, 6, 7]) {
      const { code } = await world.berth("exec", "--cwd", `/proc/self/fd/${fd}`, name, "--", "pwd");
      expect([fd, code]).toEqual([fd, 125]);
    }
  });

  test("CVE-2015-1334, CVE-2019-16884, CVE-2025-52881: a /proc of the guest's own gets no label, and exec stays confined", async () => {
    await world.ok(
      "exec",
      name,
      "--",
      "sh",
      "-c",
      "mount -t tmpfs fake /proc; for d in self thread-self; do mkdir -p /proc/$d/attr/apparmor; touch /proc/$d/attr/exec /proc/$d/attr/apparmor/exec; done",
    );
    for (const line of ["dmesg", "unshare --user true", "unshare --net true"]) {
      const { code, stderr } = await world.berth("exec", name, "--", "sh", "-c", line);
      expect([line, code !== 0, /not permitted/i.test(stderr)]).toEqual([line, true, true]);
    }
    expect(await world.sh(name, "find /proc -type f -size +0; umount /proc")).toBe("");
  });
});

test("CVE-2015-1331: no file of berth's lies where others may lay a link", () => {
  for (const dir of [world.at.run, `${world.at.run}/.lock`, world.at.lib, world.at.log]) {
    const { mode, uid } = statSync(dir);
    expect([dir, uid, mode & 0o022]).toEqual([dir, 0, 0]);
  }
});

test("CVE-2022-47952: no program of berth's runs with more rights than who calls it", () => {
  for (const file of programs) expect([file, statSync(file).mode & 0o7000]).toEqual([file, 0]);
});

const instances = Number(readFileSync("/proc/sys/fs/inotify/max_user_instances", "utf8"));
/** asm/unistd.h */
const inotifyInit = process.arch === "x64" ? 294 : 26;

test.skipIf(instances > 900)(
  "a guest that uses up its inotify instances takes none of the host's",
  async () => {
    const take = `my $n = 0; $n++ while $n <= ${instances} && syscall(${inotifyInit}, 0) >= 0; $| = 1; print "$n\\n"; sleep 20`;
    const guest = Bun.spawn([berthBinary, "exec", "deb", "--", "perl", "-e", take], {
      env: world.env,
      stdout: "pipe",
    });
    try {
      const { value } = await guest.stdout.getReader().read();
      expect(Number(new TextDecoder().decode(value))).toBe(instances);
      expect((await run(["perl", "-e", `exit(syscall(${inotifyInit}, 0) < 0)`])).code).toBe(0);
      const other = await world.berth(
        "exec",
        "root",
        "--",
        "perl",
        "-e",
        `exit(syscall(${inotifyInit}, 0) < 0)`,
      );
      expect(other.code).toBe(0);
    } finally {
      guest.kill();
      await guest.exited;
    }
  },
);
