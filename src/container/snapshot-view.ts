/** What `snapshot ls` shows. */
import { storageDriver } from "../storage/drivers.ts";
import { listSnapshots, type Snapshot } from "./snapshots.ts";

export type SnapshotView = {
  readonly container: string;
  readonly snapshot: Snapshot;
  /** Bytes of its topmost layer, where the driver counts them. */
  readonly bytes: number | undefined;
};

export const viewSnapshots = (container: string): readonly SnapshotView[] =>
  listSnapshots(container).map((snapshot) => ({ container, snapshot, bytes: bytesOf(snapshot) }));

function bytesOf({ layers }: Snapshot): number | undefined {
  const top = layers[0];
  if (top === undefined) return 0;
  try {
    const { allocated, usedBytes } = storageDriver(top.storage).usage(top.id);
    return allocated ?? usedBytes;
  } catch {
    return undefined; // a pool that is not there must not hide the list
  }
}
