import { expect, test } from "bun:test";
import { ofMounts, parseMounts } from "./mount-obstacles.ts";

const init = "30 1 0:50 / / rw shared:1 - overlay none rw\n31 30 0:58 / /run rw shared:2 - tmpfs none rw\n";

test("a part of a tmpfs whose whole is mounted nowhere is named once", () => {
  const service = parseMounts(
    `${init}40 30 0:68 /tmp /tmp rw - tmpfs tmpfs rw\n41 30 0:68 /var-tmp /var/tmp rw - tmpfs tmpfs rw\n`,
  );
  const all = new Map([
    [1, parseMounts(init)],
    [2, service],
  ]);
  expect(ofMounts(service, all).map(({ what }) => what)).toEqual([
    expect.stringContaining("has a /tmp of its own"),
  ]);
  expect(ofMounts(parseMounts(init), all)).toEqual([]);
});

test("a part of one that another namespace shows whole is none, and neither is a part of the root", () => {
  const service = parseMounts(
    "40 30 0:58 /systemd/incoming /run/incoming rw - tmpfs none rw\n41 30 0:50 /var/x /tmp rw - overlay none rw\n",
  );
  expect(
    ofMounts(
      service,
      new Map([
        [1, parseMounts(init)],
        [2, service],
      ]),
    ),
  ).toEqual([]);
});

test("file systems that cannot be mounted again are named", () => {
  const mounts = parseMounts(
    "40 30 0:70 / /mnt rw - fuse.sshfs x rw\n41 30 0:71 / /run/credentials/a rw - ramfs ramfs rw\n",
  );
  expect(ofMounts(mounts, new Map([[1, mounts]])).map(({ cure }) => cure)).toEqual([
    "unmount /mnt",
    expect.stringContaining("ImportCredential="),
  ]);
});
