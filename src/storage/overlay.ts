/** The guest's root: the template at the bottom, frozen layers on it, the volume's upper directory on top. */
import type { PlanRecord } from "../kernel/plan.ts";
import type { DriverName, Layer } from "./driver.ts";
import { storageDriver } from "./drivers.ts";

export type LowerFacts = {
  /** From top to bottom. */
  readonly layers: readonly Layer[];
  /** The template's tree. */
  readonly rootfs: string;
  /** First host id of the guest's range; 0 when privileged. */
  readonly baseUid: number;
  /** Whether the guest has a user namespace. */
  readonly shifted: boolean;
};

export type RootFacts = LowerFacts & {
  readonly volume: { readonly id: string; readonly storage: DriverName };
};

/**
 * The records that make a guest's root. index and nfs_export: else CRIU cannot dump inotify watches. metacopy is off
 * because nfs_export rules it out.
 */
export function rootRecords(facts: RootFacts): readonly PlanRecord[] {
  const { volume, baseUid } = facts;
  return [
    ...storageDriver(volume.storage).mountRecords(volume.id, "pool"),
    ...lowerRecords(facts),
    ["ownedDir", "@pool/upper", "0755", baseUid, baseUid],
    ["ownedDir", "@pool/work", "0755", 0, 0],
    [
      "rootOverlay",
      lowerdir(facts),
      "upperdir=@pool/upper",
      "workdir=@pool/work",
      "index=on",
      "nfs_export=on",
      "redirect_dir=on",
      "metacopy=off",
    ],
  ];
}

/** The records of a root without a volume, which nobody can write to. */
export function layerRecords(facts: LowerFacts): readonly PlanRecord[] {
  const root: PlanRecord =
    facts.layers.length === 0
      ? ["rootBind", "@lower", "ro"] // an overlay of one directory is refused
      : ["rootOverlay", lowerdir(facts), "redirect_dir=follow", "metacopy=off"];
  return [...lowerRecords(facts), root];
}

function lowerRecords({ layers, rootfs, baseUid, shifted }: LowerFacts): readonly PlanRecord[] {
  return [
    ...layers.flatMap((layer, at) => recordsOf(layer, at + 1, baseUid)),
    ["bind", "lower", rootfs, "ro", ...(shifted ? ["idmap"] : [])],
  ];
}

/** Short names: the kernel takes all lower directories as one text. */
const lowerdir = ({ layers }: LowerFacts): string =>
  `lowerdir=${[...layers.map((_, at) => `@${at + 1}`), "@lower"].join(":")}`;

function recordsOf(layer: Layer, number: number, baseUid: number): readonly PlanRecord[] {
  const shift = layer.baseUid === baseUid ? [] : [`shift=${layer.baseUid}`];
  return [
    ...storageDriver(layer.storage).mountRecords(layer.id, `v${number}`, "ro"),
    ["bind", String(number), `@v${number}/upper`, "ro", ...shift],
  ];
}
