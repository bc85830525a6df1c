/**
 * Project quota of ext4 and XFS: project ids of directories (linux/fs.h, struct fsxattr) and limits of projects
 * (linux/quota.h, struct if_dqblk), by descriptors.
 */
import { BerthError, describeErrno } from "../base/errors.ts";
import { withDirectory } from "./directory.ts";
import { errno, libc, ptr } from "./libc.ts";

const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FSXATTR_SIZE = 28;
const FSXATTR_PROJID = 12;
/** What is made in the directory gets its project id. */
const FS_XFLAG_PROJINHERIT = 0x200;

/** The same number on x86_64 and arm64. */
const SYS_quotactl_fd = 443;
const PRJQUOTA = 2;
const Q_GETINFO = (0x800005 * 256 + PRJQUOTA) | 0;
const Q_SETINFO = (0x800006 * 256 + PRJQUOTA) | 0;
const Q_GETQUOTA = (0x800007 * 256 + PRJQUOTA) | 0;
const Q_SETQUOTA = (0x800008 * 256 + PRJQUOTA) | 0;
const DQBLK_SIZE = 72;
/** struct if_dqinfo. */
const DQINFO_SIZE = 24;
const IIF_GRACES = 3;
const QIF_BLIMITS = 1;
const QIF_ILIMITS = 4;
/** Limits of space are counted in these (QIF_DQBLKSIZE). */
const QUOTA_BLOCK = 1024;
const ENOENT = 2;
const ESRCH = 3;

export type Project = { readonly id: number; readonly inherited: boolean };

/** Bytes and inodes; undefined is no limit. Above the soft ones more is refused once the file system's grace is over. */
export type QuotaLimits = Limits & { readonly soft?: Limits | undefined };

type Limits = { readonly bytes: number | undefined; readonly inodes: number | undefined };

export type Quota = Limits & {
  readonly usedBytes: number;
  readonly usedInodes: number;
  /** When the first grace that runs is over, in milliseconds since 1970. */
  readonly graceEnds: number | undefined;
};

/** The project of a directory, and whether what is made in it belongs to the project too. */
export function projectOf(directory: string): Project {
  return withDirectory(directory, (fd) => {
    const attributes = readAttributes(fd, directory);
    return {
      id: attributes.readUInt32LE(FSXATTR_PROJID),
      inherited: (attributes.readUInt32LE(0) & FS_XFLAG_PROJINHERIT) !== 0,
    };
  });
}

/** Gives an empty directory, and all that will be made in it, to a project. */
export function setProject(directory: string, id: number): void {
  withDirectory(directory, (fd) => {
    const attributes = readAttributes(fd, directory);
    attributes.writeUInt32LE((attributes.readUInt32LE(0) | FS_XFLAG_PROJINHERIT) >>> 0, 0);
    attributes.writeUInt32LE(id, FSXATTR_PROJID);
    if (libc().ioctl(fd, FS_IOC_FSSETXATTR, ptr(attributes)) !== 0)
      throw failed(`${directory}: cannot give it the project id ${id}`, errno());
  });
}

/** Limits and use of a project on the file system that holds `directory`. */
export function quotaOf(directory: string, id: number): Quota {
  return withDirectory(directory, (fd) => {
    const block = Buffer.alloc(DQBLK_SIZE);
    if (Number(libc().syscall(SYS_quotactl_fd, fd, Q_GETQUOTA, id, ptr(block), 0, 0)) !== 0) {
      const code = errno();
      // XFS knows nothing of a project that never had anything.
      if (code !== ENOENT) throw failed(`${directory}: cannot read the quota of project ${id}`, code);
      block.fill(0);
    }
    const field = (at: number): number => Number(block.readBigUInt64LE(at));
    const limit = (at: number, unit: number): number | undefined => field(at) * unit || undefined;
    return {
      bytes: limit(0, QUOTA_BLOCK),
      inodes: limit(24, 1),
      usedBytes: field(16),
      usedInodes: field(40),
      graceEnds: earliest([field(48), field(56)]),
    };
  });
}

const earliest = (seconds: readonly number[]): number | undefined => {
  const running = seconds.filter((at) => at > 0);
  return running.length === 0 ? undefined : Math.min(...running) * 1000;
};

/** Sets the limits of a project; they hold at once. */
export function setQuota(directory: string, id: number, limits: QuotaLimits): void {
  withDirectory(directory, (fd) => {
    const block = Buffer.alloc(DQBLK_SIZE);
    const blocks = (bytes = 0): bigint => BigInt(Math.floor(bytes / QUOTA_BLOCK));
    block.writeBigUInt64LE(blocks(limits.bytes), 0);
    block.writeBigUInt64LE(blocks(limits.soft?.bytes), 8);
    block.writeBigUInt64LE(BigInt(limits.inodes ?? 0), 24);
    block.writeBigUInt64LE(BigInt(limits.soft?.inodes ?? 0), 32);
    block.writeUInt32LE(QIF_BLIMITS | QIF_ILIMITS, 64);
    if (Number(libc().syscall(SYS_quotactl_fd, fd, Q_SETQUOTA, id, ptr(block), 0, 0)) !== 0)
      throw failed(`${directory}: cannot set the quota of project ${id}`, errno());
  });
}

/** Sets how many seconds projects may be above their soft limits: one time for the whole file system. */
export function setGrace(directory: string, seconds: number): void {
  withDirectory(directory, (fd) => {
    const info = Buffer.alloc(DQINFO_SIZE);
    if (Number(libc().syscall(SYS_quotactl_fd, fd, Q_GETINFO, 0, ptr(info), 0, 0)) !== 0)
      throw failed(`${directory}: cannot read the grace of its soft limits`, errno());
    if ([0, 8].every((at) => Number(info.readBigUInt64LE(at)) === seconds)) return;
    for (const at of [0, 8]) info.writeBigUInt64LE(BigInt(seconds), at);
    info.writeUInt32LE(IIF_GRACES, 20);
    if (Number(libc().syscall(SYS_quotactl_fd, fd, Q_SETINFO, 0, ptr(info), 0, 0)) !== 0)
      throw failed(`${directory}: cannot set the grace of its soft limits`, errno());
  });
}

function readAttributes(fd: number, directory: string): Buffer {
  const attributes = Buffer.alloc(FSXATTR_SIZE);
  if (libc().ioctl(fd, FS_IOC_FSGETXATTR, ptr(attributes)) === 0) return attributes;
  throw failed(`${directory}: cannot read its project id`, errno());
}

function failed(doing: string, code: number): BerthError {
  const why = code === ESRCH ? "project quota is not on (ESRCH)" : describeErrno(code);
  return new BerthError(
    "storage.failed",
    `${doing}: ${why}`,
    "the file system must be ext4 or XFS mounted with prjquota; `berth pool check` tells more",
  );
}
