/** Shell scripts that run in a host. */

/** The guest may hold blocks of the disk's former content, read while it was saved. */
export const mountPayload =
  "mkdir -p /payload && blockdev --flushbufs /dev/vdd && mount -o ro,noatime /dev/vdd /payload";

/**
 * Fills a file system to its last usable block with a file of unwritten blocks, then gives `leaveBytes` back: what statfs
 * calls free holds reserves that nobody can use, and how large they are differs between file systems.
 */
export function fillScript(path: string, leaveBytes: number): string {
  return `set -e
cd '${path}'
: > .lab-filling
sync -f .
size=0
chunk=$(($(stat -f -c '%f * %S' .)))
while [ $chunk -ge 4096 ]; do
  if fallocate -o $size -l $chunk .lab-filling 2> /dev/null; then size=$((size + chunk)); else chunk=$((chunk / 2)); fi
done
size=$((size - ${Math.trunc(leaveBytes)}))
truncate -s $((size > 0 ? size : 0)) .lab-filling
sync -f .`;
}
