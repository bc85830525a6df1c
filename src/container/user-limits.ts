/**
 * Limits of users and groups lie in the file system of the volume: a volume that takes the place of another one
 * gets them from it.
 */
import { quotasOf, setGrace, setQuota } from "../kernel/quota.ts";
import { ID_COUNT } from "../launch/plan.ts";
import type { Layer } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import type { Container } from "./container.ts";
import { hostConfig } from "./store.ts";

/** Gives every limit of the volume `from` to the same user or group of `to`; nothing where the container has none. */
export async function carryUserLimits(
  { config }: Pick<Container, "config">,
  from: Layer,
  to: Layer,
): Promise<void> {
  if (!config["quota-users"]) return;
  const first = from.baseUid;
  for (const kind of ["user", "group"] as const) {
    const limits = await storageDriver(from.storage).withVolume(from.id, async (dir) =>
      quotasOf(dir, kind, first, first + ID_COUNT - 1).filter(({ bytes, inodes, soft }) =>
        [bytes, inodes, soft.bytes, soft.inodes].some((limit) => limit !== undefined),
      ),
    );
    if (limits.length === 0) continue;
    await storageDriver(to.storage).withVolume(to.id, async (dir) => {
      setGrace(dir, hostConfig()["disk-grace"], kind);
      for (const { id, bytes, inodes, soft } of limits)
        setQuota(dir, id - first + to.baseUid, { bytes, inodes, soft }, kind);
    });
  }
}
