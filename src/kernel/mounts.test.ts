import { expect, test } from "bun:test";
import { parseMountPoints } from "./mounts.ts";

const mountinfo = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/a\\040b rw,nosuid shared:5 master:2 - overlay berth:1 rw,lowerdir=x
31 22 0:41 / /mnt/c rw - overlay berth:11 rw
32 22 0:40 / /mnt/- rw - overlay berth:1 rw
`;

test("mount points by the source of what is mounted", () => {
  expect(parseMountPoints(mountinfo, "berth:1")).toEqual(["/mnt/a b", "/mnt/-"]);
  expect(parseMountPoints(mountinfo, "berth:2")).toEqual([]);
});
