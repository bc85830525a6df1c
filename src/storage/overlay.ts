/** The guest's root: the template at the bottom, frozen layers on it, the volume's upper directory on top. */
import type { PlanRecord } from "../kernel/plan.ts";
import type { DriverName, Layer } from "./driver.ts";
import { storageDriver } from "./drivers.ts";

export type RootFacts = {
  readonly volume: { readonly id: string; readonly storage: DriverName };
  /** From top to bottom. */
  readonly layers: readonly Layer[];
  /** The template's tree. */
  readonly rootfs: string;
  /** First host id of the guest's range; 0 when privileged. */
  readonly baseUid: number;
  /** Whether the guest has a user namespace. */
  readonly shifted: boolean;
};

/**
 * The records that make the root. index and nfs_export: else CRIU cannot dump inotify watches. metacopy is off
 * because nfs_export rules it out.
 */
export function rootRecords({ volume, layers, rootfs, baseUid, shifted }: RootFacts): readonly PlanRecord[] {
  return [
    ...storageDriver(volume.storage).mountRecords(volume.id, "pool"),
    ...layers.flatMap((layer, at) => layerRecords(layer, at + 1, baseUid)),
    ["bind", "lower", rootfs, "ro", ...(shifted ? ["idmap"] : [])],
    ["ownedDir", "@pool/upper", "0755", baseUid, baseUid],
    ["ownedDir", "@pool/work", "0755", 0, 0],
    [
      "rootOverlay",
      `lowerdir=${[...layers.map((_, at) => `@${at + 1}`), "@lower"].join(":")}`,
      "upperdir=@pool/upper",
      "workdir=@pool/work",
      "index=on",
      "nfs_export=on",
      "redirect_dir=on",
      "metacopy=off",
    ],
  ];
}

/** Short names: the kernel takes all lower directories as one text. */
function layerRecords(layer: Layer, number: number, baseUid: number): readonly PlanRecord[] {
  const shift = layer.baseUid === baseUid ? [] : [`shift=${layer.baseUid}`];
  return [
    ...storageDriver(layer.storage).mountRecords(layer.id, `v${number}`, "ro"),
    ["bind", String(number), `@v${number}/upper`, "ro", ...shift],
  ];
}
