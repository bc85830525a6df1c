/**
 * What of a guest's metadata goes into a backup and comes out of one: ids as the guest has them on one side, as the host
 * has them on the other. One function does both ways, told by the map of ids.
 */
import type { Xattr } from "../../kernel/xattr.ts";
import { mapAcl } from "./acl.ts";

/** An id on the other side; undefined when it has none there. */
export type IdMap = (id: number) => number | undefined;

/** A guest has this many (docs/design.md, decision 6). */
const IDS = 65536;

/** The guest's id for one on the host. A privileged guest, with base 0, has the host's. */
export const toGuest =
  (baseUid: number): IdMap =>
  (id) =>
    baseUid === 0 ? id : id >= baseUid && id < baseUid + IDS ? id - baseUid : undefined;

/** The id on the host for one of the guest's. */
export const toHost =
  (baseUid: number): IdMap =>
  (id) =>
    baseUid === 0 ? id : id < IDS ? id + baseUid : undefined;

/** Marks of an overlay's upper directory that stay true in a copy of it. */
const layerMarks: ReadonlySet<string> = new Set(["trusted.overlay.opaque", "trusted.overlay.redirect"]);

/**
 * The attribute with its ids mapped; undefined leaves it out. Kept are the guest's own (user.), file capabilities, ACLs, and
 * the overlay's marks where the tree is a raw layer. Others mean something to another host's kernel, or to nobody.
 */
export function mapXattr(xattr: Xattr, map: IdMap, isLayer: boolean): Xattr | undefined {
  const name = xattr.name.toString("latin1");
  if (name.startsWith("user.")) return xattr;
  if (name === "security.capability") return withValue(xattr, mapCapability(xattr.value, map));
  if (name === "system.posix_acl_access" || name === "system.posix_acl_default")
    return withValue(xattr, mapAcl(xattr.value, map));
  return isLayer && layerMarks.has(name) && isHarmless(name, xattr.value) ? xattr : undefined;
}

const withValue = ({ name }: Xattr, value: Buffer | undefined): Xattr | undefined =>
  value === undefined ? undefined : { name, value };

/** The kernel writes a name or an absolute path, which never has a "..". */
const isHarmless = (name: string, value: Buffer): boolean =>
  name !== "trusted.overlay.redirect" || !value.toString("latin1").split("/").includes("..");

/** linux/capability.h: revisions and sizes of struct vfs_ns_cap_data; a flag for effective is beside the revision. */
const REVISION_MASK = 0xff000000;
const REVISION_2 = 0x02000000;
const REVISION_3 = 0x03000000;
const SIZE_2 = 20;
const SIZE_3 = 24;

/** Without a root id (revision 2) it is meant for root itself; with one (revision 3) for the namespace whose root that is. */
function mapCapability(value: Buffer, map: IdMap): Buffer | undefined {
  const magic = value.length < 4 ? 0 : value.readUInt32LE(0);
  const revision = (magic & REVISION_MASK) >>> 0;
  const is3 = revision === REVISION_3 && value.length === SIZE_3;
  if (!is3 && !(revision === REVISION_2 && value.length === SIZE_2)) return undefined;
  const root = map(is3 ? value.readUInt32LE(SIZE_2) : 0);
  if (root === undefined) return undefined;
  const mapped = Buffer.alloc(root === 0 ? SIZE_2 : SIZE_3);
  value.copy(mapped, 0, 0, SIZE_2);
  mapped.writeUInt32LE(((magic & ~REVISION_MASK) | (root === 0 ? REVISION_2 : REVISION_3)) >>> 0, 0);
  if (root !== 0) mapped.writeUInt32LE(root, SIZE_2);
  return mapped;
}
