/**
 * Limits of users and groups inside a guest. The guest cannot set them itself: the kernel and seccomp refuse it
 * quotactl. To the host its users are ids of the container's range, on the file system of its volume.
 */
import { BerthError } from "../base/errors.ts";
import { type QuotaKind, type QuotaLimits, quotaOf, quotasOf, setGrace, setQuota } from "../kernel/quota.ts";
import { ID_COUNT } from "../launch/plan.ts";
import { storageDriver } from "../storage/drivers.ts";
import type { Container, LockedContainer } from "./container.ts";
import { type GuestNames, guestNames } from "./guest-names.ts";
import { hostConfig } from "./store.ts";

export type Subject = Exclude<QuotaKind, "project">;

/** What is asked for; a limit that is left out stays as it is, `none` takes it away. */
export type WantedLimits = {
  readonly disk?: Pair<number | "none"> | undefined;
  readonly inodes?: Pair<number | "none"> | undefined;
};
type Pair<T> = { readonly soft: T; readonly hard: T };

/** null: no limit. Sizes in bytes. */
export type UserQuota = {
  readonly id: number;
  /** As the guest's /etc/passwd or /etc/group has it; a guest's text. */
  readonly name: string | null;
  readonly usedBytes: number;
  readonly usedInodes: number;
  readonly disk: number | null;
  readonly diskSoft: number | null;
  readonly inodes: number | null;
  readonly inodesSoft: number | null;
  /** It is above a soft limit: when more will be refused, ISO 8601. */
  readonly until: string | null;
};

/** Sets limits of one user or group, named or numbered as inside the guest. They hold at once. */
export async function setUserQuota(
  container: LockedContainer,
  kind: Subject,
  who: string,
  wanted: WantedLimits,
): Promise<UserQuota> {
  mustHaveQuota(container);
  const names = await guestNames(container, kind);
  const id = idOf(container.name, kind, who, names);
  const { uuid, storage, baseUid } = container.state;
  return await storageDriver(storage).withVolume(uuid, async (dir) => {
    const limits = merged(quotaOf(dir, baseUid + id, kind), wanted);
    if (limits.soft?.bytes !== undefined || limits.soft?.inodes !== undefined)
      setGrace(dir, hostConfig()["disk-grace"], kind);
    setQuota(dir, baseUid + id, limits, kind);
    return described({ id: baseUid + id, ...quotaOf(dir, baseUid + id, kind) }, baseUid, names);
  });
}

/** All users or groups of the guest that have files or limits, by id. */
export async function userQuotas(container: Container, kind: Subject): Promise<readonly UserQuota[]> {
  mustHaveQuota(container);
  const names = await guestNames(container, kind);
  const { uuid, storage, baseUid } = container.state;
  return await storageDriver(storage).withVolume(uuid, async (dir) =>
    quotasOf(dir, kind, baseUid, baseUid + ID_COUNT - 1)
      .filter(({ bytes, inodes, soft, usedBytes, usedInodes }) =>
        [bytes, inodes, soft.bytes, soft.inodes, usedBytes, usedInodes].some((value) => (value ?? 0) > 0),
      )
      .map((quota) => described(quota, baseUid, names)),
  );
}

function mustHaveQuota({ name, config }: Container): void {
  if (config["quota-users"]) return;
  throw new BerthError(
    "storage.failed",
    `${name} was created without quota-users: its file system holds no user to a limit`,
    "create the container with --quota-users yes",
  );
}

function idOf(container: string, kind: Subject, who: string, names: GuestNames): number {
  const id = /^\d+$/.test(who) ? Number(who) : names.idOf(who);
  if (id !== undefined && id < ID_COUNT) return id;
  throw new BerthError(
    "usage.bad-argument",
    `${container} has no ${kind} ${JSON.stringify(who)}`,
    `a name of its /etc/${kind === "user" ? "passwd" : "group"}, or a number below ${ID_COUNT}`,
  );
}

function merged(now: QuotaLimits, { disk, inodes }: WantedLimits): QuotaLimits {
  const limit = (value: number | "none"): number | undefined => (value === "none" ? undefined : value);
  return {
    bytes: disk === undefined ? now.bytes : limit(disk.hard),
    inodes: inodes === undefined ? now.inodes : limit(inodes.hard),
    soft: {
      bytes: disk === undefined ? now.soft?.bytes : limit(disk.soft),
      inodes: inodes === undefined ? now.soft?.inodes : limit(inodes.soft),
    },
  };
}

function described(
  { id, bytes, inodes, soft, usedBytes, usedInodes, graceEnds }: ReturnType<typeof quotasOf>[number],
  baseUid: number,
  names: GuestNames,
): UserQuota {
  return {
    id: id - baseUid,
    name: names.nameOf(id - baseUid) ?? null,
    usedBytes,
    usedInodes,
    disk: bytes ?? null,
    diskSoft: soft.bytes ?? null,
    inodes: inodes ?? null,
    inodesSoft: soft.inodes ?? null,
    until: graceEnds === undefined ? null : new Date(graceEnds).toISOString(),
  };
}
