/** A host kind's frozen image: root disk, kernel and initramfs, made from Debian packages alone. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cached, digest, treeDigest } from "./cache.ts";
import { command, niced } from "./command.ts";
import { extractVmlinux, kernelVersion, makeInitramfs } from "./kernel.ts";
import { guestPackages, hostKinds, type KindName } from "./kinds.ts";
import { ensureMachinePackages } from "./machine-packages.ts";
import { debianMirror } from "./mirror.ts";
import { guestDir } from "./paths.ts";
import { step } from "./progress.ts";

export interface Image {
  /** Changes when anything that went into it does. */
  readonly key: string;
  readonly rootDisk: string;
  readonly kernel: string;
  readonly initramfs: string;
}

/** Bytes of the root disk (sparse). */
const rootDiskSize = "6G";
/** Older images that stay: hosts of a run that began before the change boot from them. */
export const olderKept = 1;
/** Raised when the way of building changes in code that is not part of the key. */
const layout = "1";

/** The image of a kind, built first when it is not in the cache. */
export async function ensureImage(kind: KindName): Promise<Image> {
  const { suite } = hostKinds[kind];
  const key = digest(layout, suite, rootDiskSize, guestPackages.join(" "), treeDigest(guestDir));
  const build = async (fresh: string): Promise<void> => {
    await ensureMachinePackages();
    await step(`building the ${kind} image (a minute or more, once)`, () => buildImage(fresh, suite));
  };
  const dir = await cached(`image-${kind}`, key, build, olderKept);
  return imageIn(dir, key);
}

function imageIn(dir: string, key: string): Image {
  return {
    key,
    rootDisk: join(dir, "root.img"),
    kernel: join(dir, "vmlinux"),
    initramfs: join(dir, "initramfs"),
  };
}

async function buildImage(dir: string, suite: string): Promise<void> {
  const root = join(dir, "root");
  const agent = join(dir, "agent");
  const image = imageIn(dir, "");
  await compileAgent(agent);
  await step(`  bootstrapping ${suite}`, () => bootstrap(root, suite));
  await command([join(guestDir, "customise.sh"), root, agent]);
  const version = kernelVersion(root);
  writeFileSync(image.kernel, await extractVmlinux(readFileSync(join(root, `boot/vmlinuz-${version}`))));
  writeFileSync(image.initramfs, await makeInitramfs(root, version, readFileSync(join(guestDir, "init"))));
  await step("  making the root disk", () => makeDisk(image.rootDisk, root, rootDiskSize));
  rmSync(root, { recursive: true });
  rmSync(agent);
}

async function compileAgent(output: string): Promise<void> {
  const flags = ["-std=c17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-static"];
  await command(["gcc", ...flags, "-o", output, join(guestDir, "agent.c")]);
}

async function bootstrap(root: string, suite: string): Promise<void> {
  const excluded = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*"];
  const mmdebstrap = [
    "mmdebstrap",
    "--variant=minbase",
    "--mode=root",
    '--aptopt=Apt::Install-Recommends "false"',
    '--aptopt=Acquire::Languages "none"',
    ...excluded.map((glob) => `--dpkgopt=path-exclude=${glob}`),
    "--dpkgopt=force-unsafe-io",
    `--include=${guestPackages.join(",")}`,
    suite,
    root,
    debianMirror(),
  ];
  // its mounts in a namespace of their own: a killed build leaves a plain directory tree
  const contained = ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", ...mmdebstrap];
  await command(niced(contained), { env: { INITRD: "No" } }); // we make an initramfs of our own
}

/** Makes an ext4 image from a directory without mounting anything. A disk that is only read needs no journal. */
export async function makeDisk(path: string, from: string, size: string, readOnly = false): Promise<void> {
  await command(["truncate", "-s", size, path]);
  const format = ["mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard", "-m", "0"];
  const journal = readOnly ? ["-O", "^has_journal"] : [];
  await command(niced([...format, ...journal, "-d", from, path]));
}
