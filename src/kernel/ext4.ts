/** What ext4 does to itself while it is mounted (fs/ext4/ext4.h). */
import { BerthError, describeErrno } from "../base/errors.ts";
import { withDirectory } from "./directory.ts";
import { errno, libc, ptr } from "./libc.ts";

const EXT4_IOC_RESIZE_FS = 0x40086610;

/** Makes the file system that a directory lies on that many of its blocks large; nothing happens when it is. */
export function growExt4(directory: string, blocks: number): void {
  const count = Buffer.alloc(8);
  count.writeBigUInt64LE(BigInt(blocks));
  withDirectory(directory, (fd) => {
    if (libc().ioctl(fd, EXT4_IOC_RESIZE_FS, ptr(count)) === 0) return;
    throw new BerthError(
      "storage.failed",
      `cannot make the mounted file system ${blocks} blocks large: ${describeErrno(errno())}`,
      "stop the container and try again; the kernel's log (dmesg) says more",
    );
  });
}
