/** The guest's root: the template below, the volume's upper directory on top. */
import type { PlanRecord } from "../kernel/plan.ts";

/**
 * Records after the one that made the mount "pool" with upper and work in it. index and nfs_export: else CRIU
 * cannot dump inotify watches. metacopy is off because nfs_export rules it out.
 */
export function overlayRecords(rootfs: string, baseUid: number, shifted: boolean): readonly PlanRecord[] {
  return [
    ["bind", "lower", rootfs, "ro", ...(shifted ? ["idmap"] : [])],
    ["ownedDir", "@pool/upper", "0755", baseUid, baseUid],
    ["ownedDir", "@pool/work", "0755", 0, 0],
    [
      "rootOverlay",
      "lowerdir=@lower",
      "upperdir=@pool/upper",
      "workdir=@pool/work",
      "index=on",
      "nfs_export=on",
      "redirect_dir=on",
      "metacopy=off",
    ],
  ];
}
