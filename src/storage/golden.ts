/**
 * Golden images: an empty ext4 of a given size, made once by mke2fs; every container's image is a copy of its few
 * data extents. The number in the name is that of the mkfs options: change it with them.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { BerthError, errnoOf } from "../base/errors.ts";
import { makeDirs, syncDir } from "../base/files.ts";
import { cacheDir } from "../base/paths.ts";
import { formatSize } from "../base/units.ts";
import { startTime } from "../kernel/process.ts";
import { must, programError, run } from "./program.ts";

const OPTIONS_VERSION = 2;

/** Block size of every image. */
export const BLOCK = 4096;
const MiB = 1 << 20;
/** Below this there is no room for a journal and a system's changes. */
export const SMALLEST = 32 * MiB;
/** ext4's own limit with 4 KiB blocks and without bigalloc is 1 EiB; a host file is at most 16 TiB on ext4. */
const LARGEST = 16 * 2 ** 40 - BLOCK;

/** What the kernels from 5.10 on all know: an image moves between hosts. */
const features = [
  "has_journal",
  "ext_attr",
  "resize_inode",
  "dir_index",
  "filetype",
  "extent",
  "64bit",
  "flex_bg",
  "sparse_super",
  "large_file",
  "huge_file",
  "dir_nlink",
  "extra_isize",
  "metadata_csum",
  // A new UUID is a change of the superblock, not of every checksum.
  "metadata_csum_seed",
].join(",");

/** The label that tells which inode limit the image was made with. */
export const inodeLabel = (inodes: number | undefined): string =>
  inodes === undefined ? "berth" : `inodes=${inodes}`;

/** Checks a size and rounds it down to whole blocks. */
export function imageSize(bytes: number): number {
  if (bytes >= SMALLEST && bytes <= LARGEST) return Math.floor(bytes / BLOCK) * BLOCK;
  throw new BerthError(
    "storage.failed",
    `an image of ${formatSize(bytes)} cannot be made`,
    `between ${formatSize(SMALLEST)} and ${formatSize(LARGEST + BLOCK)}`,
  );
}

/** The path of the golden image, made if it is not there. */
export async function goldenImage(
  bytes: number,
  inodes: number | undefined,
  userQuota: boolean,
): Promise<string> {
  const dir = `${cacheDir()}/golden`;
  const path = `${dir}/v${OPTIONS_VERSION}-${bytes}-${inodes ?? "default"}${userQuota ? "-quota" : ""}.img`;
  if (existsSync(path)) return path;
  makeDirs(dir);
  dropLeftovers(dir);
  const stage = `${dir}/.making-${process.pid}-${crypto.randomUUID()}`;
  try {
    for (const sub of ["root", "root/upper", "root/work"]) mkdirSync(`${stage}/${sub}`, { recursive: true });
    await format(`${stage}/golden.img`, `${stage}/root`, bytes, inodes, userQuota);
    if (userQuota) await countAnew(`${stage}/golden.img`);
    syncFile(`${stage}/golden.img`);
    // Whoever comes second leaves the first one alone: it is being copied.
    if (!linkNew(`${stage}/golden.img`, path)) return path;
    syncDir(dir);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
  return path;
}

/** Gives a file a second name; false where another has it. */
function linkNew(path: string, name: string): boolean {
  try {
    linkSync(path, name);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

async function format(
  image: string,
  root: string,
  bytes: number,
  inodes: number | undefined,
  userQuota: boolean,
): Promise<void> {
  closeSync(openSync(image, "wx", 0o600));
  truncateSync(image, bytes);
  // The journal is at most 16 MiB: once written it stays allocated on the host, for each container.
  const journal = Math.min(16, Math.max(4, Math.floor(bytes / MiB / 16)));
  // Room in the descriptor table to grow 32-fold in place; mke2fs's 1024-fold costs 4 MiB an image.
  const growable = Math.min(Math.floor(bytes / BLOCK) * 32, 2 ** 32 - 1);
  await must(
    "storage.failed",
    `cannot format ${image}`,
    "mke2fs",
    [
      "-q",
      "-F",
      ...["-b", String(BLOCK), "-I", "256", "-m", "0", "-O", `none,${features}${userQuota ? ",quota" : ""}`],
      ...["-J", `size=${journal}`, "-L", inodeLabel(inodes), "-d", root],
      // A few inodes are ext4's and overlayfs's own.
      ...(inodes === undefined ? ["-i", "16384"] : ["-N", String(inodes + 32)]),
      // Everything not written is a hole, and so zero; mounted with noinit_itable it stays one.
      ...[
        "-E",
        `nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0,resize=${growable}${userQuota ? ",quotatype=usrquota:grpquota" : ""}`,
      ],
      "--",
      image,
    ],
    // The same image whatever the host's mke2fs.conf says.
    { MKE2FS_CONFIG: "/dev/null" },
  );
}

/** mke2fs counts the directories that it copies for nobody. */
async function countAnew(image: string): Promise<void> {
  const checked = await run("e2fsck", ["-f", "-y", image]);
  // 1: errors were corrected (e2fsck(8)).
  if (checked.code > 1) throw programError("storage.failed", `cannot format ${image}`, "e2fsck", checked);
}

function dropLeftovers(dir: string): void {
  for (const name of readdirSync(dir)) {
    const maker = /^\.making-(\d+)-/.exec(name)?.[1];
    if (maker !== undefined && startTime(Number(maker)) === undefined)
      rmSync(`${dir}/${name}`, { recursive: true, force: true });
  }
}

/** Makes a file's content last. */
export function syncFile(path: string): void {
  const fd = openSync(path, "r+");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
