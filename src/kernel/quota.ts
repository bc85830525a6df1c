/**
 * Quota of ext4 and XFS: project ids of directories (linux/fs.h, struct fsxattr), and limits of projects, users and
 * groups (linux/quota.h, struct if_dqblk), by descriptors.
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
const commands = {
  getInfo: 0x800005,
  setInfo: 0x800006,
  getQuota: 0x800007,
  setQuota: 0x800008,
  getNextQuota: 0x800009,
} as const;
const kinds = { user: 0, group: 1, project: 2 } as const;
/** struct if_nextdqblk, which is struct if_dqblk with an id where that ends in padding. */
const DQBLK_SIZE = 72;
const DQBLK_ID = 68;
/** struct if_dqinfo. */
const DQINFO_SIZE = 24;
const IIF_GRACES = 3;
const QIF_BLIMITS = 1;
const QIF_ILIMITS = 4;
/** Limits of space are counted in these (QIF_DQBLKSIZE). */
const QUOTA_BLOCK = 1024;
const ENOENT = 2;
const ESRCH = 3;

/** Whose quota: ids are those of the host. */
export type QuotaKind = keyof typeof kinds;

export type Project = { readonly id: number; readonly inherited: boolean };

/** Bytes and inodes; undefined is no limit. Above the soft ones more is refused once the file system's grace is over. */
export type QuotaLimits = Limits & { readonly soft?: Limits | undefined };

type Limits = { readonly bytes: number | undefined; readonly inodes: number | undefined };

export type Quota = Limits & {
  readonly usedBytes: number;
  readonly usedInodes: number;
  readonly soft: Limits;
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
      throw failed(`${directory}: cannot give it the project id ${id}`, "project", errno());
  });
}

/** Limits and use of a project, user or group on the file system that holds `directory`. */
export function quotaOf(directory: string, id: number, kind: QuotaKind = "project"): Quota {
  return withDirectory(directory, (fd) => {
    const block = Buffer.alloc(DQBLK_SIZE);
    const code = quotactl(fd, "getQuota", kind, id, block);
    // XFS knows nothing of one that never had anything.
    if (code !== 0 && code !== ENOENT)
      throw failed(`${directory}: cannot read the quota of ${kind} ${id}`, kind, code);
    return parseQuota(block);
  });
}

/** The quotas of all ids from `first` to `last` that have or had anything. */
export function quotasOf(
  directory: string,
  kind: QuotaKind,
  first: number,
  last: number,
): readonly (Quota & { readonly id: number })[] {
  return withDirectory(directory, (fd) => {
    const found: (Quota & { readonly id: number })[] = [];
    for (let from = first; from <= last; ) {
      const block = Buffer.alloc(DQBLK_SIZE);
      const code = quotactl(fd, "getNextQuota", kind, from, block);
      if (code === ENOENT || code === ESRCH) break;
      if (code !== 0) throw failed(`${directory}: cannot list its quotas`, kind, code);
      const id = block.readUInt32LE(DQBLK_ID);
      if (id < from || id > last) break;
      found.push({ id, ...parseQuota(block) });
      from = id + 1;
    }
    return found;
  });
}

function parseQuota(block: Buffer): Quota {
  const field = (at: number): number => Number(block.readBigUInt64LE(at));
  const limit = (at: number, unit: number): number | undefined => field(at) * unit || undefined;
  return {
    bytes: limit(0, QUOTA_BLOCK),
    inodes: limit(24, 1),
    soft: { bytes: limit(8, QUOTA_BLOCK), inodes: limit(32, 1) },
    usedBytes: field(16),
    usedInodes: field(40),
    graceEnds: earliest([field(48), field(56)]),
  };
}

const earliest = (seconds: readonly number[]): number | undefined => {
  const running = seconds.filter((at) => at > 0);
  return running.length === 0 ? undefined : Math.min(...running) * 1000;
};

/** Sets the limits of a project, user or group; they hold at once. */
export function setQuota(
  directory: string,
  id: number,
  limits: QuotaLimits,
  kind: QuotaKind = "project",
): void {
  const block = Buffer.alloc(DQBLK_SIZE);
  const blocks = (bytes = 0): bigint => BigInt(Math.floor(bytes / QUOTA_BLOCK));
  block.writeBigUInt64LE(blocks(limits.bytes), 0);
  block.writeBigUInt64LE(blocks(limits.soft?.bytes), 8);
  block.writeBigUInt64LE(BigInt(limits.inodes ?? 0), 24);
  block.writeBigUInt64LE(BigInt(limits.soft?.inodes ?? 0), 32);
  block.writeUInt32LE(QIF_BLIMITS | QIF_ILIMITS, 64);
  withDirectory(directory, (fd) => {
    const code = quotactl(fd, "setQuota", kind, id, block);
    if (code !== 0) throw failed(`${directory}: cannot set the quota of ${kind} ${id}`, kind, code);
  });
}

/** Sets how many seconds one may be above its soft limits: one time for all of a kind on the file system. */
export function setGrace(directory: string, seconds: number, kind: QuotaKind = "project"): void {
  withDirectory(directory, (fd) => {
    const info = Buffer.alloc(DQINFO_SIZE);
    const read = quotactl(fd, "getInfo", kind, 0, info);
    if (read !== 0) throw failed(`${directory}: cannot read the grace of its soft limits`, kind, read);
    if ([0, 8].every((at) => Number(info.readBigUInt64LE(at)) === seconds)) return;
    for (const at of [0, 8]) info.writeBigUInt64LE(BigInt(seconds), at);
    info.writeUInt32LE(IIF_GRACES, 20);
    const set = quotactl(fd, "setInfo", kind, 0, info);
    if (set !== 0) throw failed(`${directory}: cannot set the grace of its soft limits`, kind, set);
  });
}

/** Gives 0 or the errno. */
function quotactl(
  fd: number,
  command: keyof typeof commands,
  kind: QuotaKind,
  id: number,
  block: Buffer,
): number {
  const number = (commands[command] * 256 + kinds[kind]) | 0;
  const done = Number(libc().syscall(SYS_quotactl_fd, fd, number, id, ptr(block), 0, 0));
  return done === 0 ? 0 : errno();
}

function readAttributes(fd: number, directory: string): Buffer {
  const attributes = Buffer.alloc(FSXATTR_SIZE);
  if (libc().ioctl(fd, FS_IOC_FSGETXATTR, ptr(attributes)) === 0) return attributes;
  throw failed(`${directory}: cannot read its project id`, "project", errno());
}

function failed(doing: string, kind: QuotaKind, code: number): BerthError {
  const why = code === ESRCH ? `quota of ${kind}s is not on (ESRCH)` : describeErrno(code);
  const option = { user: "usrquota", group: "grpquota", project: "prjquota" }[kind];
  return new BerthError(
    "storage.failed",
    `${doing}: ${why}`,
    `the file system must be ext4 or XFS mounted with ${option}; \`berth pool check\` tells more`,
  );
}
