/** Whether project quota holds: found by running into a limit of 1 MiB, not by reading what a kernel says of itself. */
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
import { mountDetached } from "../kernel/detached.ts";
import { setProject, setQuota } from "../kernel/quota.ts";
import { formatPool } from "./format.ts";
import type { FileSystem } from "./pool-record.ts";
import { must, run } from "./program.ts";
import { removeDirectory } from "./remove.ts";

const MiB = 2 ** 20;
/** Above every id that project.ts gives away. */
const PROBE_PROJECT = 0x7fff_fff0;
/** What mkfs.xfs makes at least is 300 MiB; the file is sparse. */
const scratchSizes: Record<FileSystem, number> = { ext4: 32 * MiB, xfs: 320 * MiB };

/** Writes 2 MiB into a project of 1 MiB below `root`; says what is wrong, or undefined when the limit held. */
export async function quotaFault(root: string): Promise<string | undefined> {
  const dir = `${root}/.probe-${process.pid}`;
  await removeDirectory(dir);
  try {
    mkdirSync(dir);
    setProject(dir, PROBE_PROJECT);
    setQuota(dir, PROBE_PROJECT, { bytes: MiB, inodes: undefined });
    // CAP_SYS_RESOURCE passes every limit of ext4 (fs/quota/dquot.c, ignore_hardlimit).
    const written = await run("setpriv", [
      ...["--bounding-set=-sys_resource", "dd", "if=/dev/zero", `of=${dir}/file`],
      ...["bs=64K", "count=32", "conv=fsync", "status=none"],
    ]);
    if (written.code === 0) return "a project's limit is accepted, and does not hold";
    return existsSync(`${dir}/file`) && statSync(`${dir}/file`).size <= MiB
      ? undefined
      : `the probe failed: ${written.stderr.trim()}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    if (existsSync(dir)) {
      await removeDirectory(dir);
      try {
        setQuota(root, PROBE_PROJECT, { bytes: undefined, inodes: undefined });
      } catch {} // without quota there is no limit to take back
    }
  }
}

/** The same on a small file system made for it, which stands in no mount table: what this kernel can do. */
export async function kernelQuotaFault(fileSystem: FileSystem): Promise<string | undefined> {
  const dir = mkdtempSync(`${tmpdir()}/berth-probe-`);
  const image = `${dir}/image`;
  try {
    writeFileSync(image, "");
    truncateSync(image, scratchSizes[fileSystem]);
    await formatPool(image, fileSystem, "project", crypto.randomUUID());
    return await withLoop(image, async (device) => {
      const fd = mountDetached(fileSystem, device, ["prjquota"]);
      try {
        return await quotaFault(`/proc/${process.pid}/fd/${fd}`);
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
