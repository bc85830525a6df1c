import { expect, test } from "bun:test";
import { parseMounts } from "./mountinfo.ts";

test("mounts with their file system's numbers, place, and whether one can write", () => {
  const text = [
    "36 35 98:0 / /mnt rw,noatime shared:1 - ext4 /dev/root rw,errors=continue",
    "37 35 0:51 / /a\\040b\\134 rw - btrfs /dev/loop1 ro,space_cache=v2",
    "38 35 8:1 / /ro ro,relatime - xfs /dev/sda1 rw",
    "",
  ].join("\n");
  expect(parseMounts(text)).toEqual([
    { numbers: "98:0", path: "/mnt", readOnly: false },
    { numbers: "0:51", path: "/a b\\", readOnly: true },
    { numbers: "8:1", path: "/ro", readOnly: true },
  ]);
});
