/** Making the file system of a pool. */
import type { DriverName } from "./driver.ts";
import type { FileSystem } from "./pool-record.ts";
import { must } from "./program.ts";

/** Formats a file or device; what was on it is gone. */
export async function formatPool(
  path: string,
  fileSystem: FileSystem,
  driver: DriverName,
  uuid: string,
): Promise<void> {
  const doing = `cannot format ${path}`;
  if (fileSystem === "xfs") {
    await must("storage.failed", doing, "mkfs.xfs", ["-q", "-f", "-m", `uuid=${uuid}`, path]);
    return;
  }
  if (fileSystem === "btrfs") {
    await must("storage.failed", doing, "mkfs.btrfs", ["-q", "-f", "-U", uuid, "--", path]);
    return;
  }
  const project = driver === "project" ? ["-O", "quota,project"] : [];
  const extended = [
    "lazy_itable_init=1",
    ...(driver === "project" ? ["quotatype=usrquota:grpquota:prjquota"] : []),
  ].join(",");
  await must("storage.failed", doing, "mke2fs", [
    ...["-q", "-F", "-t", "ext4", "-m", "0", "-U", uuid],
    ...project,
    ...["-E", extended, "--", path],
  ]);
}
