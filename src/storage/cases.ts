/** What every storage driver must do: one file of cases, run for each of them by drivers.test.ts. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { BerthError } from "../base/errors.ts";
import { poolDir } from "../base/paths.ts";
import { openTreeCopy } from "../kernel/tree-tool.ts";
import type { StorageDriver, VolumeLimits } from "./driver.ts";
import { rootRecords } from "./overlay.ts";
import { createPool, type PoolRequest, removePool } from "./pool.ts";
import { removeDirectory } from "./remove.ts";
import { fill, inOverlay, isRoot, smallDisk, temporaryRoot, useRoot } from "./testing.ts";

const MiB = 2 ** 20;
const limits: VolumeLimits = { bytes: 64 * MiB, inodes: undefined };

/** `pool`: made before the cases and removed after them, for a driver that needs one. */
export function driverCases(driver: StorageDriver, pool?: PoolRequest): void {
  describe.skipIf(!isRoot)(
    `driver ${driver.name}${pool === undefined ? "" : ` on ${pool.fileSystem}`}`,
    () => {
      const { root, drop } = temporaryRoot();
      beforeAll(async () => {
        useRoot(root);
        if (pool !== undefined) await createPool(pool);
      });
      afterAll(() => {
        if (pool !== undefined) removePool(driver.name);
        drop();
      });
      afterEach(async () => {
        for (const id of ["a", "b"]) await driver.remove(id);
      });

      const leftovers = (): readonly string[] =>
        existsSync(`${poolDir()}/${driver.name}`) ? readdirSync(`${poolDir()}/${driver.name}`) : [];

      test("works on this host", async () => {
        expect(await driver.missing()).toBeUndefined();
      });

      test("creates, tells and removes a volume, and leaves nothing", async () => {
        expect(driver.exists("a")).toBe(false);
        await driver.create("a", limits);
        expect(driver.exists("a")).toBe(true);
        expect(driver.exists("b")).toBe(false);
        await driver.remove("a");
        expect(driver.exists("a")).toBe(false);
        expect(leftovers()).toEqual([]);
      });

      test("removing what is not there is fine", async () => {
        await driver.remove("a");
        await driver.remove("a");
      });

      test("a second volume of that name is refused and the first one stays", async () => {
        await driver.create("a", limits);
        await expect(driver.create("a", limits)).rejects.toMatchObject({ code: "storage.failed" });
        expect(driver.exists("a")).toBe(true);
      });

      test("many are created at once", async () => {
        const ids = Array.from({ length: 10 }, (_, i) => `many-${i}`);
        await Promise.all(ids.map((id) => driver.create(id, { bytes: 96 * MiB, inodes: undefined })));
        expect(ids.every((id) => driver.exists(id))).toBe(true);
        await Promise.all(ids.map((id) => driver.remove(id)));
        expect(leftovers()).toEqual([]);
      });

      test("the pool is root's alone: it holds setuid programs of guests", async () => {
        await driver.create("a", limits);
        expect((await Bun.file(poolDir()).stat()).mode & 0o777).toBe(0o700);
      });

      test("resizing what is not there is an error that names it", async () => {
        await expect(driver.resize("a", limits)).rejects.toThrow("volume a does not exist");
      });

      test("resizing to the same size twice changes nothing", async () => {
        await driver.create("a", limits);
        await driver.resize("a", limits);
        const before = driver.usage("a");
        await driver.resize("a", limits);
        expect(driver.usage("a")).toEqual(before);
      });

      test.skipIf(pool !== undefined)("a full disk is host.no-space and leaves nothing", async () => {
        const { root: full, drop: dropFull } = temporaryRoot();
        const unmount = await smallDisk(full, MiB);
        useRoot(full);
        try {
          await driver.create("b", limits);
          await driver.remove("b");
          fill(`${full}/ballast`);
          const failed = await driver.create("a", limits).then(
            () => undefined,
            (error: unknown) => error,
          );
          // A driver that only makes directories may still find room for them.
          if (driver.enforcesQuota) expect(failed).toBeInstanceOf(BerthError);
          if (failed instanceof BerthError) expect(failed.code).toBe("host.no-space");
          if (failed !== undefined) expect(leftovers()).toEqual([]);
        } finally {
          useRoot(root);
          await unmount();
          dropFull();
        }
      });

      test.skipIf(!driver.countsLive)(
        "limits are kept, changed, and never set below what is used",
        async () => {
          const inodes = driver.inodeLimit === "none" ? undefined : 500;
          await driver.create("a", { bytes: 64 * MiB, inodes });
          expect(driver.usage("a")).toMatchObject({ bytes: 64 * MiB, inodes });
          await driver.resize("a", { bytes: 128 * MiB, inodes: undefined });
          expect(driver.usage("a")).toMatchObject({ bytes: 128 * MiB, inodes: undefined });
          await driver.withVolume("a", async (dir) => writeSynced(`${dir}/upper/much`, 40 * MiB));
          expect(driver.usage("a").usedBytes).toBeGreaterThanOrEqual(40 * MiB);
          await expect(driver.resize("a", { bytes: 20 * MiB, inodes: undefined })).rejects.toThrow(
            "too much",
          );
          expect(driver.volumes()).toEqual(["a"]);
        },
      );

      test.skipIf(driver.inodeLimit !== "changeable")("so is the number of files", async () => {
        await driver.create("a", { bytes: 64 * MiB, inodes: 500 });
        expect(driver.usage("a").usedInodes ?? 0).toBeGreaterThan(0);
        await expect(driver.resize("a", { bytes: 128 * MiB, inodes: 1 })).rejects.toThrow("too many files");
      });

      test("the records make an overlay of template, layers and volume, shifted or not", () => {
        const facts = { volume: { id: "a", storage: driver.name }, rootfs: "/t/rootfs" };
        const layers = [
          { id: "b", storage: driver.name, baseUid: 100000 },
          { id: "c", storage: driver.name, baseUid: 300000 },
        ];
        const shifted = rootRecords({ ...facts, layers, baseUid: 100000, shifted: true });
        expect(shifted).toContainEqual(["bind", "1", "@v1/upper", "ro"]);
        expect(shifted).toContainEqual(["bind", "2", "@v2/upper", "ro", "shift=300000"]);
        expect(shifted).toContainEqual(["bind", "lower", "/t/rootfs", "ro", "idmap"]);
        expect(shifted).toContainEqual(["ownedDir", "@pool/upper", "0755", 100000, 100000]);
        expect(shifted.at(-1)).toContain("lowerdir=@1:@2:@lower");
        expect(shifted.at(-1)).toContain("index=on");
        const privileged = rootRecords({ ...facts, layers: [], baseUid: 0, shifted: false });
        expect(privileged).toContainEqual(["bind", "lower", "/t/rootfs", "ro"]);
        expect(privileged).toContainEqual(["ownedDir", "@pool/upper", "0755", 0, 0]);
      });

      test("a volume takes another id with all it holds, and can be sealed", async () => {
        await driver.create("a", limits);
        await driver.withVolume("a", async (dir) => writeFileSync(`${dir}/upper/word`, "kept"));
        await driver.rename("a", "b");
        expect([driver.exists("a"), driver.exists("b")]).toEqual([false, true]);
        await driver.seal("b");
        await driver.create("a", limits);
        await expect(driver.rename("b", "a")).rejects.toThrow();
        const word = async (id: string) =>
          await driver.withVolume(
            id,
            async (dir) => existsSync(`${dir}/upper/word`) && readFileSync(`${dir}/upper/word`, "utf8"),
            "ro",
          );
        expect([await word("a"), await word("b")]).toEqual([false, "kept"]);
        await driver.remove("b");
        expect(driver.volumes()).toEqual(["a"]);
      });

      test("renamed directories, hard links and removals are right through two layers", async () => {
        const lower = `${root}/lower`;
        mkdirSync(`${lower}/dir/deep`, { recursive: true });
        for (const file of ["dir/deep/file", "one", "gone"]) writeFileSync(`${lower}/${file}`, `${file}\n`);
        const at = `${root}/mounts`;
        await driver.create("a", limits);
        await inOverlay(
          driver,
          { at, volume: "a", layers: [], lower },
          "mv dir moved; ln one two; echo more >> two; rm gone; mkdir dir; echo new > dir/fresh",
        );
        // The overlay's index has a link to each file that has several.
        await driver.withVolume("a", async (dir) => await removeDirectory(`${dir}/work`));
        await driver.seal("a");
        await driver.create("b", limits);
        const place = { at, volume: "b", layers: ["a"], lower };
        const tree = "find . -type f | sort; cat one; stat -c %h one two; test one -ef two && echo same";
        const first = "./dir/fresh\n./moved/deep/file\n./one\n./two\none\nmore\n2\n2\nsame";
        expect(await inOverlay(driver, place, tree)).toBe(first);
        await inOverlay(driver, place, "mv moved again; echo last >> one; mv dir/fresh fresh; rmdir dir");
        const then = "./again/deep/file\n./fresh\n./one\n./two\none\nmore\nlast\n2\n2\nsame";
        expect(await inOverlay(driver, place, tree)).toBe(then);
        expect(await inOverlay(driver, place, "cat two again/deep/file")).toBe(
          "one\nmore\nlast\ndir/deep/file",
        );
      });

      test("an upper directory copied to another volume shows there as it was, but for its device nodes", async () => {
        const lower = `${root}/copied-lower`;
        mkdirSync(`${lower}/dir`, { recursive: true });
        for (const file of ["dir/below", "kept", "gone"]) writeFileSync(`${lower}/${file}`, `${file}\n`);
        const place = { at: `${root}/mounts`, layers: [], lower };
        const look = "find . | sort; cat hard; stat -c '%a %u:%g %h' hard";
        await driver.create("a", limits);
        const before = await inOverlay(
          driver,
          { ...place, volume: "a" },
          `mv dir moved; rm gone; mkdir dir; echo word > soft; ln soft hard; chown 7:8 hard; chmod 4750 hard; ${look}; mknod null c 1 3; mknod dir/disk b 7 0`,
        );
        await driver.create("b", limits);
        await driver.withVolume("a", async (from) => {
          await driver.withVolume("b", async (to) => {
            await using tree = openTreeCopy(`${from}/upper`, `${to}/upper`);
            await tree.pass();
            await tree.sync();
          });
        });
        expect(before).toContain("./moved/below");
        expect(before).toContain("4750 7:8 2");
        expect(await inOverlay(driver, { ...place, volume: "b" }, look)).toBe(before);
      });

      test.skipIf(driver.snapshot === undefined)("a snapshot is the volume as it was", async () => {
        await driver.create("a", limits);
        await driver.withVolume("a", async (dir) => {
          writeFileSync(`${dir}/upper/word`, "before");
          await driver.snapshot?.("a", "b");
          writeFileSync(`${dir}/upper/word`, "after");
        });
        const word = async (id: string) =>
          await driver.withVolume(id, async (dir) => readFileSync(`${dir}/upper/word`, "utf8"), "ro");
        expect([await word("a"), await word("b")]).toEqual(["after", "before"]);
      });
    },
  );
}

function writeSynced(path: string, bytes: number): void {
  const fd = openSync(path, "w");
  try {
    writeSync(fd, Buffer.alloc(bytes, 1));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
