/** The storage drivers by name, best first: what `storage:` and `--storage` may say. */
export const driverNames = ["project", "image", "btrfs", "plain"] as const;

export type DriverName = (typeof driverNames)[number];
