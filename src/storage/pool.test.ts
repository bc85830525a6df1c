/** Pools in trouble: full, read-only, unmounted, gone. Each is said clearly, and nothing is lost. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { mustRun } from "../kernel/run.ts";
import { storageDriver } from "./drivers.ts";
import { createPool, needPool, removePool } from "./pool.ts";
import { poolFaults } from "./pool-faults.ts";
import { poolRoot, readPool } from "./pool-record.ts";
import { btrfsGap, fill, isRoot, temporaryRoot, useRoot } from "./testing.ts";

const MiB = 2 ** 20;
const limits = { bytes: 32 * MiB, inodes: undefined };
const pools = [
  { driver: "btrfs", fileSystem: "btrfs", gap: btrfsGap() },
  { driver: "image", fileSystem: "ext4", gap: isRoot ? undefined : "needs root" },
] as const;

for (const { driver: name, fileSystem, gap } of pools)
  describe.skipIf(gap !== undefined)(`a pool of ${name}${gap === undefined ? "" : ` SKIP: ${gap}`}`, () => {
    const { root, drop } = temporaryRoot();
    const driver = storageDriver(name);
    const faults = async () => await poolFaults(needPool(name), new Map([["a", "web"]]));
    const word = async () =>
      await driver.withVolume("a", async (dir) => readFileSync(`${dir}/upper/word`, "utf8"));
    beforeEach(async () => {
      useRoot(root);
      await createPool({ driver: name, fileSystem, place: { kind: "file", bytes: 160 * MiB } });
      await driver.create("a", limits);
      await driver.withVolume("a", async (dir) => writeFileSync(`${dir}/upper/word`, "kept"));
      expect(await faults()).toEqual([]);
    });
    afterEach(async () => {
      await driver.remove("a");
      removePool(name);
      drop();
    });

    test("full: no volume is made and none is lost; with space it goes on", async () => {
      fill(`${poolRoot(name)}/.ballast`);
      // The directories of a new volume may still find room.
      const made = await driver.create("b", limits).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (made !== undefined) expect(made).toMatchObject({ code: "host.no-space" });
      await driver.remove("b");
      expect(driver.volumes()).toEqual(["a"]);
      expect(await word()).toBe("kept");
      expect((await faults()).join()).toMatch(/cannot be written to: no space left/);
      await mustRun(["sh", "-c", `rm ${poolRoot(name)}/.ballast-*; sync -f ${poolRoot(name)}`], {
        package: "coreutils",
      });
      await driver.create("b", limits);
      await driver.remove("b");
    });

    test("read-only: said by who wants to write, and by the check", async () => {
      const remount = async (how: string) =>
        await mustRun(["mount", "-o", `remount,${how}`, poolRoot(name)], { package: "mount" });
      await remount("ro");
      await expect(driver.create("b", limits)).rejects.toThrow(
        new RegExp(`^the disk under pool ${name} fails \\(${root}.*read-only`),
      );
      expect((await faults()).join()).toMatch(/read-only/);
      await remount("rw");
      expect(await faults()).toEqual([]);
      expect(await word()).toBe("kept");
    });

    test("unmounted: mounted again by who needs it; its file gone: named, and all is there once it is back", async () => {
      await mustRun(["umount", poolRoot(name)], { package: "mount" });
      expect(driver.exists("a")).toBe(true);
      await mustRun(["umount", poolRoot(name)], { package: "mount" });
      const file = readPool(name)?.source.path ?? "";
      renameSync(file, `${file}.away`);
      await expect(driver.create("b", limits)).rejects.toThrow(file);
      await expect(faults()).rejects.toThrow(file);
      renameSync(`${file}.away`, file);
      expect(await word()).toBe("kept");
    });
  });
