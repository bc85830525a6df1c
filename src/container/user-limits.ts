/**
 * Limits of users and groups lie in the file system of the volume: a volume that takes the place of another one
 * gets them from it.
 */
import { type QuotaLimits, quotasOf, setGrace, setQuota } from "../kernel/quota.ts";
import { ID_COUNT } from "../launch/plan.ts";
import type { Layer } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import type { Container } from "./container.ts";
import { hostConfig } from "./store.ts";

type Settings = Pick<Container, "config">;

/** The limits of one user or group; `id` is the guest's. */
export type UserLimit = QuotaLimits & { readonly kind: "user" | "group"; readonly id: number };

const kinds = ["user", "group"] as const;

/** Gives every limit of the volume `from` to the same user or group of `to`; nothing where the container has none. */
export async function carryUserLimits(settings: Settings, from: Layer, to: Layer): Promise<void> {
  await setUserLimits(to, await userLimitsOf(settings, from));
}

/** Every limit of users and groups of a volume; none where the container's settings have none. */
export async function userLimitsOf(
  { config }: Settings,
  { id, storage, baseUid }: Layer,
): Promise<readonly UserLimit[]> {
  if (!config["quota-users"]) return [];
  return await storageDriver(storage).withVolume(id, async (dir) =>
    kinds.flatMap((kind) =>
      quotasOf(dir, kind, baseUid, baseUid + ID_COUNT - 1)
        .filter(({ bytes, inodes, soft }) =>
          [bytes, inodes, soft.bytes, soft.inodes].some((limit) => limit !== undefined),
        )
        .map(({ id: host, bytes, inodes, soft }) => ({ kind, id: host - baseUid, bytes, inodes, soft })),
    ),
  );
}

/** Sets them on a volume. */
export async function setUserLimits(to: Layer, limits: readonly UserLimit[]): Promise<void> {
  if (limits.length === 0) return;
  await storageDriver(to.storage).withVolume(to.id, async (dir) => {
    for (const kind of kinds)
      if (limits.some((limit) => limit.kind === kind)) setGrace(dir, hostConfig()["disk-grace"], kind);
    for (const { kind, id, bytes, inodes, soft } of limits)
      setQuota(dir, id + to.baseUid, { bytes, inodes, soft }, kind);
  });
}
