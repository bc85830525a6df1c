/** What an unknown tree is: distribution and release by its own words, architecture by its programs. */
import { closeSync, constants, fstatSync, readSync } from "node:fs";
import { openat2 } from "../../kernel/openat2.ts";
import { refused } from "../archive/damaged.ts";
import { architecture } from "../distributions.ts";
import { readText, type Tree } from "../tree.ts";

/** dpkg's words by those of the kernel, of Incus and of OpenVZ. */
const architectures: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  amd64: "amd64",
  i386: "i386",
  i486: "i386",
  i586: "i386",
  i686: "i386",
  x86: "i386",
  aarch64: "arm64",
  arm64: "arm64",
  armv7l: "armhf",
  armhf: "armhf",
  ppc64le: "ppc64el",
  s390x: "s390x",
  riscv64: "riscv64",
};

/** e_machine of an ELF header (elf(5), linux/elf-em.h). */
const machines: Readonly<Record<number, string>> = {
  3: "i386",
  8: "mips",
  20: "powerpc",
  21: "ppc64el",
  22: "s390x",
  40: "armhf",
  62: "amd64",
  183: "arm64",
  243: "riscv64",
  258: "loong64",
};

/** Programs that nearly every system has, links followed inside the tree only. */
const programs = ["bin/sh", "usr/bin/env", "sbin/init", "bin/busybox", "lib/systemd/systemd"] as const;

/** What this host runs: its own, and the 32-bit programs of x86. */
const runnable: ReadonlySet<string> = new Set(architecture === "amd64" ? ["amd64", "i386"] : [architecture]);

/**
 * The tree's architecture in dpkg's words. `said` is what the operator or the image says. Fails with archive.refused
 * when the tree, or who speaks for it, is of one that this host does not run.
 */
export function architectureOf(tree: Tree, said: string | undefined): string {
  const found = programs.flatMap((path) => machineOf(tree, path) ?? [])[0];
  const named = said === undefined ? undefined : (architectures[said.toLowerCase()] ?? said);
  for (const arch of [found, named])
    if (arch !== undefined && !runnable.has(arch))
      throw refused(
        `the image is for ${JSON.stringify(arch)}, and this host runs ${[...runnable].join(" and ")}`,
        "fetch the image for this architecture",
      );
  return found ?? named ?? architecture;
}

function machineOf(tree: Tree, path: string): string | undefined {
  const header = readHead(tree, path, 20);
  if (header?.toString("latin1", 0, 4) !== "\x7fELF" || header.length < 20) return undefined;
  const code = header[5] === 2 ? header.readUInt16BE(18) : header.readUInt16LE(18);
  return machines[code] ?? `ELF machine ${code}`;
}

function readHead(tree: Tree, path: string, count: number): Buffer | undefined {
  const fd = openQuietly(tree, path);
  if (fd === undefined) return undefined;
  try {
    if (!fstatSync(fd).isFile()) return undefined;
    const bytes = Buffer.alloc(count);
    return bytes.subarray(0, readSync(fd, bytes, 0, count, 0));
  } finally {
    closeSync(fd);
  }
}

function openQuietly(tree: Tree, path: string): number | undefined {
  try {
    return openat2(tree.fd, path, constants.O_RDONLY | constants.O_NONBLOCK, "inRoot");
  } catch {
    return undefined;
  }
}

export type Release = { readonly distribution: string; readonly release: string };

/** Systems older than os-release (2012), by a file of theirs and what it says. */
const older: readonly (readonly [path: string, distribution: string, release: RegExp])[] = [
  ["etc/centos-release", "centos", /(\d[\d.]*)/],
  ["etc/redhat-release", "redhat", /(\d[\d.]*)/],
  ["etc/SuSE-release", "suse", /VERSION = (\S+)/],
  ["etc/alpine-release", "alpine", /(\d[\d.]*)/],
  ["etc/arch-release", "arch", /(\d[\d.]*)/],
  ["etc/gentoo-release", "gentoo", /(\d[\d.]*)/],
  ["etc/slackware-version", "slackware", /(\d[\d.]*)/],
  ["etc/debian_version", "debian", /(\S+)/],
];

/** Distribution and release; "unknown" and "" for a system that does not say. */
export function releaseOf(tree: Tree): Release {
  const text = readQuietly(tree, "etc/os-release") ?? readQuietly(tree, "usr/lib/os-release");
  const id = text === undefined ? undefined : field(text, "ID");
  if (text !== undefined && id !== undefined)
    return { distribution: plain(id), release: plain(field(text, "VERSION_ID") ?? "") };
  for (const [path, distribution, pattern] of older) {
    const words = readQuietly(tree, path);
    if (words !== undefined) return { distribution, release: plain(pattern.exec(words)?.[1] ?? "") };
  }
  return { distribution: "unknown", release: "" };
}

/** A link that leads nowhere, or in a circle, is no description. */
function readQuietly(tree: Tree, path: string): string | undefined {
  try {
    return readText(tree, path)?.slice(0, 1 << 16);
  } catch {
    return undefined;
  }
}

function field(text: string, key: string): string | undefined {
  return new RegExp(`^${key}=["']?([^"'\\n]*)["']?$`, "m").exec(text)?.[1];
}

const plain = (text: string): string => text.replace(/[^A-Za-z0-9._+-]/g, "").slice(0, 40);
