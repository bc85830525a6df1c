import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { poolDir } from "../base/paths.ts";
import { testDirectory } from "../base/test-directory.ts";
import { btrfsDriver } from "./btrfs.ts";
import { driverCases } from "./cases.ts";
import { chooseDriver } from "./drivers.ts";
import { imageDriver } from "./image.ts";
import { plainDriver } from "./plain.ts";
import { createPool } from "./pool.ts";
import { projectDriver } from "./project.ts";
import { parseProjects } from "./project-ids.ts";
import { kernelQuotaFault } from "./quota-probe.ts";
import { btrfsGap, isRoot, useRoot } from "./testing.ts";

for (const driver of [imageDriver, plainDriver]) driverCases(driver);

const gap = btrfsGap();
if (gap === undefined)
  driverCases(btrfsDriver, {
    driver: "btrfs",
    fileSystem: "btrfs",
    place: { kind: "file", bytes: 2 ** 30 },
  });
else test.skip(`driver btrfs SKIP: ${gap}`, () => undefined);

/** "ext4:/dev/vdb xfs:/dev/vdc": scratch disks of a lab host, whose content goes. */
const disks = (process.env.BERTH_TEST_POOLS ?? "").split(" ").filter(Boolean);
for (const disk of disks) {
  const [fs, path = ""] = disk.split(":");
  driverCases(projectDriver, {
    driver: "project",
    fileSystem: fs === "xfs" ? "xfs" : "ext4",
    place: { kind: "device", path, wipe: true },
  });
}
if (disks.length === 0)
  test.skip("driver project SKIP: BERTH_TEST_POOLS names no scratch disk; the lab runs it", () => undefined);

describe.skipIf(!isRoot)("without a pool", () => {
  const root = testDirectory("storage");
  beforeAll(() => useRoot(root));

  test("nobody gets a volume without limits unasked", async () => {
    expect(await chooseDriver()).toBe("image");
  });

  test("driver project says what it needs", async () => {
    expect(await projectDriver.missing()).toContain("berth pool create");
    expect(projectDriver.exists("a")).toBe(false);
    await projectDriver.remove("a");
  });

  test("where project quota does not work its pool is refused with the reason, and nothing is left", async () => {
    if ((await kernelQuotaFault("project", "ext4")) === undefined) return;
    const place = { kind: "file", bytes: 64 * 2 ** 20 } as const;
    await expect(createPool({ driver: "project", fileSystem: "ext4", place })).rejects.toMatchObject({
      code: "host.missing-feature",
    });
    expect(existsSync(poolDir())).toBe(false);
  });
});

test("project ids of others are read from /etc/projid and /etc/projects", () => {
  expect([...parseProjects("web:12\n# x\n", "13:/srv\n\n")]).toEqual([12, 13]);
});
