/** What of a backup's trees is unpacked: everything that a backup holds, and nothing that only a stranger's would. */
import { mapXattr, toHost } from "./guest-attributes.ts";
import type { UnpackPolicy } from "./unpack-policy.ts";

/**
 * Rules for the guest whose first id on the host is `baseUid`. In a raw layer the overlay's marks stay, and whiteouts (0:0),
 * the only device that there may be; fifos are files like others.
 */
export function backupPolicy(baseUid: number, isLayer: boolean): UnpackPolicy {
  const owner = toHost(baseUid);
  return {
    hardLinks: "keep",
    keepsNode: ({ type, major, minor }) =>
      type === "fifo" || (isLayer && type === "char" && major === 0 && minor === 0),
    owner,
    xattr: (xattr) => mapXattr(xattr, owner, isLayer),
  };
}
