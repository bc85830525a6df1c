/** The busybox template: one static program, its links and a dozen small files. A guest of about two MiB. */
import { constants, copyFileSync, existsSync, lchownSync, readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { runProgram } from "../kernel/run.ts";
import { makeDir, type Tree, withTree, writeFile, writeLink } from "./tree.ts";

const candidates = ["/usr/bin/busybox", "/bin/busybox"] as const;

const PT_INTERP = 3;

/** The host's busybox, which must be linked statically: the tree has no libraries. */
export function findBusybox(paths: readonly string[] = candidates): string {
  const found = paths.filter((path) => existsSync(path));
  const usable = found.find((path) => isStatic(readFileSync(path)));
  if (usable !== undefined) return usable;
  throw new BerthError(
    "host.missing-program",
    found.length === 0
      ? "the program busybox is not installed"
      : `${found[0]} is linked dynamically; a template needs the static one`,
    "apt-get install busybox-static",
  );
}

/** Whether a 64-bit little-endian ELF file asks for no dynamic loader (no PT_INTERP segment, elf(5)). */
export function isStatic(elf: Buffer): boolean {
  if (elf.length < 64 || elf.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") return false;
  const table = Number(elf.readBigUInt64LE(32));
  const size = elf.readUInt16LE(54);
  const count = elf.readUInt16LE(56);
  for (let i = 0; i < count; i += 1) {
    const at = table + i * size;
    if (at + 4 > elf.length || elf.readUInt32LE(at) === PT_INTERP) return false;
  }
  return true;
}

// An empty id means the console that init itself was started on.
const inittab = `# busybox init: sysinit, then a shell on the console that comes back when it is left.
::sysinit:/etc/init.d/rcS
::respawn:-/bin/sh
::ctrlaltdel:/sbin/reboot
::shutdown:/etc/init.d/rcK
::restart:/sbin/init
`;

const startScript = `#!/bin/sh
# Runs /etc/init.d/S* in order at boot. Network, host name and mounts are made by the host.
for script in /etc/init.d/S??*; do
  [ -x "$script" ] && "$script" start
done
exit 0
`;

const stopScript = `#!/bin/sh
# Runs /etc/init.d/S* backwards when the guest goes down.
for script in $(ls -r /etc/init.d/S??* 2>/dev/null); do
  [ -x "$script" ] && "$script" stop
done
exit 0
`;

const profile = `export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
[ -n "$HOME" ] && [ "$HOME" != / ] || export HOME=/root
PS1='\\u@\\h:\\w\\$ '
cd "$HOME" 2>/dev/null || :
`;

const directories: readonly (readonly [path: string, mode: number])[] = [
  ...["bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "etc/init.d"].map(
    (path) => [path, 0o755] as const,
  ),
  ...[
    "proc",
    "sys",
    "dev",
    "run",
    "home",
    "mnt",
    "opt",
    "srv",
    "var/lib",
    "var/log",
    "var/spool/cron/crontabs",
  ].map((path) => [path, 0o755] as const),
  ["root", 0o700],
  ["tmp", 0o1777],
  ["var/tmp", 0o1777],
];

const files: readonly (readonly [path: string, content: string, mode: number])[] = [
  ["etc/inittab", inittab, 0o644],
  ["etc/init.d/rcS", startScript, 0o755],
  ["etc/init.d/rcK", stopScript, 0o755],
  ["etc/profile", profile, 0o644],
  [
    "etc/passwd",
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    0o644,
  ],
  ["etc/shadow", "root:*:::::::\nnobody:*:::::::\n", 0o640],
  ["etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n", 0o644],
  ["etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n", 0o644],
  ["etc/hostname", "", 0o644],
  ["etc/resolv.conf", "", 0o644],
  ["etc/fstab", "", 0o644],
];

/** Fills the empty directory `rootfs`; gives busybox's version. */
export async function buildBusybox(rootfs: string, busybox = findBusybox()): Promise<string> {
  const [version, applets] = await Promise.all([ask(busybox, []), ask(busybox, ["--list-full"])]);
  const release = /BusyBox v(\S+)/.exec(version)?.[1] ?? "unknown";
  withTree(rootfs, (tree) => {
    for (const [path, mode] of directories) makeDir(tree, path, mode);
    for (const [path, content, mode] of files) writeFile(tree, path, content, mode);
    writeLink(tree, "var/run", "/run");
    writeRelease(tree, release);
    for (const applet of applets.split("\n")) writeApplet(tree, applet);
  });
  const program = `${rootfs}/bin/busybox`;
  copyFileSync(busybox, program, constants.COPYFILE_EXCL);
  lchownSync(program, 0, 0);
  return release;
}

async function ask(busybox: string, args: readonly string[]): Promise<string> {
  return (await runProgram([busybox, ...args], { package: "busybox-static" })).stdout;
}

function writeApplet(tree: Tree, path: string): void {
  if (!/^(usr\/)?s?bin\/[^/]+$/.test(path) || path === "bin/busybox") return;
  writeLink(tree, path, "/bin/busybox");
}

function writeRelease(tree: Tree, release: string): void {
  writeFile(
    tree,
    "etc/os-release",
    `ID=busybox\nNAME=BusyBox\nVERSION_ID=${release}\nPRETTY_NAME="BusyBox ${release}"\nHOME_URL=https://busybox.net/\n`,
  );
}
