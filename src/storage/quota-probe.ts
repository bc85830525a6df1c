/** Whether the quota of a file system holds: found by running into a limit of 1 MiB, not by reading what a kernel says of itself. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { btrfsUuid, createSubvolume, subvolumeId } from "../kernel/btrfs.ts";
import { createGroup, enableSimpleQuota, hasSimpleQuota, limitGroup } from "../kernel/btrfs-quota.ts";
import { mountDetached } from "../kernel/detached.ts";
import { setProject, setQuota } from "../kernel/quota.ts";
import type { DriverName } from "./driver.ts";
import { formatPool } from "./format.ts";
import type { FileSystem } from "./pool-record.ts";
import { must, run } from "./program.ts";
import { removeDirectory, removeSubvolume } from "./remove.ts";

/** Drivers whose limits are kept by the file system of their pool. */
export type QuotaDriver = Extract<DriverName, "project" | "btrfs">;

type Probe = {
  /** Makes a directory that may hold 1 MiB. */
  readonly make: (root: string, name: string) => void;
  readonly remove: (root: string, name: string) => Promise<void>;
  readonly mountFlags: readonly string[];
  /** Turns quota on where mounting does not. */
  readonly turnOn: (root: string) => void;
};

const MiB = 2 ** 20;
/** Above every id that project.ts gives away. */
const PROBE_PROJECT = 0x7fff_fff0;
/** At least what mkfs makes; the file is sparse. */
const scratchSizes: Record<FileSystem, number> = { ext4: 32 * MiB, xfs: 320 * MiB, btrfs: 128 * MiB };

const probes: Readonly<Record<QuotaDriver, Probe>> = {
  project: {
    make: (root, name) => {
      mkdirSync(`${root}/${name}`);
      setProject(`${root}/${name}`, PROBE_PROJECT);
      setQuota(root, PROBE_PROJECT, { bytes: MiB, inodes: undefined });
    },
    remove: async (root, name) => {
      await removeDirectory(`${root}/${name}`);
      try {
        setQuota(root, PROBE_PROJECT, { bytes: undefined, inodes: undefined });
      } catch {} // without quota there is no limit to take back
    },
    mountFlags: ["prjquota"],
    turnOn: () => {},
  },
  btrfs: {
    make: (root, name) => {
      if (!hasSimpleQuota(btrfsUuid(root))) throw new Error("simple quota is off");
      createSubvolume(root, name);
      const id = subvolumeId(`${root}/${name}`);
      createGroup(root, id);
      limitGroup(root, id, MiB);
    },
    remove: (root, name) => removeSubvolume(root, name),
    mountFlags: [],
    turnOn: enableSimpleQuota,
  },
};

/** Writes 2 MiB below `root` where 1 MiB is allowed; says what is wrong, or undefined when the limit held. */
export async function quotaFault(driver: QuotaDriver, root: string): Promise<string | undefined> {
  const name = `.probe-${process.pid}`;
  const dir = `${root}/${name}`;
  try {
    if (existsSync(dir)) await probes[driver].remove(root, name);
    probes[driver].make(root, name);
    // CAP_SYS_RESOURCE passes every limit of ext4 (fs/quota/dquot.c, ignore_hardlimit).
    const written = await run("setpriv", [
      ...["--bounding-set=-sys_resource", "dd", "if=/dev/zero", `of=${dir}/file`],
      ...["bs=64K", "count=32", "conv=fsync", "status=none"],
    ]);
    if (written.code === 0) return "a limit is accepted, and does not hold";
    return existsSync(`${dir}/file`) && statSync(`${dir}/file`).size <= MiB
      ? undefined
      : `the probe failed: ${written.stderr.trim()}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    if (existsSync(dir)) await probes[driver].remove(root, name);
  }
}

/** The same on a small file system made for it, which stands in no mount table: what this kernel can do. */
export async function kernelQuotaFault(
  driver: QuotaDriver,
  fileSystem: FileSystem,
): Promise<string | undefined> {
  const dir = mkdtempSync(`${tmpdir()}/berth-probe-`);
  const image = `${dir}/image`;
  try {
    writeFileSync(image, "");
    truncateSync(image, scratchSizes[fileSystem]);
    await formatPool(image, fileSystem, driver, crypto.randomUUID());
    return await withLoop(image, async (device) => {
      const fd = mountDetached(fileSystem, device, probes[driver].mountFlags);
      try {
        const root = `/proc/${process.pid}/fd/${fd}`;
        probes[driver].turnOn(root);
        return await quotaFault(driver, root);
      } finally {
        closeSync(fd);
      }
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function withLoop<T>(image: string, work: (device: string) => Promise<T>): Promise<T> {
  const { stdout } = await must("storage.failed", "cannot attach a loop device", "losetup", [
    ...["--find", "--show", "--", image],
  ]);
  const device = stdout.trim();
  try {
    return await work(device);
  } finally {
    await must("storage.failed", `cannot let go of ${device}`, "losetup", ["--detach", device]);
  }
}
