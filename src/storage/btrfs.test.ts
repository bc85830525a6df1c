/** Driver btrfs: no way out of its limit, and nothing left of what lay in a volume. */
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { testDirectory } from "../base/test-directory.ts";
import { btrfsUuid, createSubvolume, snapshotSubvolume } from "../kernel/btrfs.ts";
import { groupIds } from "../kernel/btrfs-quota.ts";
import { mustRun } from "../kernel/run.ts";
import { btrfsDriver } from "./btrfs.ts";
import { createPool, growPool, needPool, removePool } from "./pool.ts";
import { poolFaults } from "./pool-faults.ts";
import { poolRoot } from "./pool-record.ts";
import { btrfsGap, useRoot } from "./testing.ts";

const MiB = 2 ** 20;
/** node:fs does not name it; the same on x86_64 and arm64 but for the directory bit, which it holds too. */
const O_TMPFILE = 0o20200000;
const gap = btrfsGap();

describe.skipIf(gap !== undefined)(`driver btrfs${gap === undefined ? "" : ` SKIP: ${gap}`}`, () => {
  const root = testDirectory("storage", () => removePool("btrfs"));
  const limits = { bytes: 32 * MiB, inodes: undefined };
  const upper = (): string => `${poolRoot("btrfs")}/a/upper`;
  /** What the kernel lets be written to an open file, at most 64 MiB. */
  const writeAll = (fd: number): number => {
    const chunk = Buffer.alloc(MiB, 7);
    let written = 0;
    try {
      while (written < 64 * MiB) {
        written += writeSync(fd, chunk);
        fsyncSync(fd);
      }
    } catch {} // EDQUOT
    closeSync(fd);
    return written;
  };
  const write = (path: string): number => {
    try {
      return writeAll(openSync(path, "w"));
    } catch {
      return 0; // not even an empty file
    }
  };

  beforeAll(async () => {
    useRoot(root);
    await createPool({ driver: "btrfs", fileSystem: "btrfs", place: { kind: "file", bytes: 512 * MiB } });
  });
  afterEach(async () => {
    for (const id of ["a", "b"]) await btrfsDriver.remove(id);
    expect(groupIds(btrfsUuid(poolRoot("btrfs")))).toEqual([]);
  });

  const escapes: Readonly<Record<string, () => number | Promise<number>>> = {
    "a file": () => write(`${upper()}/file`),
    "a subvolume in it": () => {
      createSubvolume(upper(), "nested");
      createSubvolume(`${upper()}/nested`, "deeper");
      return write(`${upper()}/nested/file`) + write(`${upper()}/nested/deeper/file`);
    },
    "snapshots of its own": () => {
      createSubvolume(upper(), "one");
      const first = write(`${upper()}/one/file`);
      try {
        snapshotSubvolume(`${upper()}/one`, upper(), "two");
      } catch {
        return first; // there was no room for it
      }
      rmSync(`${upper()}/one/file`);
      return first + write(`${upper()}/two/file2`);
    },
    "a file without a name": () => writeAll(openSync(upper(), O_TMPFILE | 2, 0o600)),
    "space set aside": async () => {
      const failed = await mustRun(["fallocate", "-l", "64M", `${upper()}/file`], {
        package: "util-linux",
      }).then(
        () => false,
        () => true,
      );
      return failed ? 0 : 64 * MiB;
    },
    "shared blocks written anew": async () => {
      const first = write(`${upper()}/file`);
      await mustRun(["cp", "--reflink=always", `${upper()}/file`, `${upper()}/copy`], {
        package: "coreutils",
      }).catch(() => {});
      return existsSync(`${upper()}/copy`) ? first + writeAll(openSync(`${upper()}/copy`, "r+")) : first;
    },
  };
  for (const [way, tryIt] of Object.entries(escapes))
    test(`no way out: ${way}`, async () => {
      await btrfsDriver.create("a", limits);
      const before = statfsSync(poolRoot("btrfs")).bfree;
      const written = await tryIt();
      await mustRun(["sync", "-f", upper()], { package: "coreutils" });
      const { bfree, bsize } = statfsSync(poolRoot("btrfs"));
      expect(written).toBeLessThanOrEqual(32 * MiB);
      expect((before - bfree) * bsize).toBeLessThan(40 * MiB);
      expect(btrfsDriver.usage("a").usedBytes).toBeLessThanOrEqual(32 * MiB);
    });

  test("files of a full volume can be removed, and so can the volume", async () => {
    await btrfsDriver.create("a", limits);
    createSubvolume(upper(), "nested");
    write(`${upper()}/nested/file`);
    expect(write(`${upper()}/file`)).toBe(0);
    rmSync(`${upper()}/nested/file`);
    await mustRun(["sync", "-f", upper()], { package: "coreutils" });
    expect(write(`${upper()}/file`)).toBeGreaterThan(20 * MiB);
  });

  test("a snapshot has a limit of its own and outlives its source", async () => {
    await btrfsDriver.create("a", limits);
    write(`${upper()}/file`);
    await btrfsDriver.snapshot?.("a", "b");
    await btrfsDriver.remove("a");
    expect(btrfsDriver.usage("b").bytes).toBe(32 * MiB);
    expect(write(`${poolRoot("btrfs")}/b/upper/more`)).toBeLessThanOrEqual(32 * MiB);
    expect(btrfsDriver.exists("a")).toBe(false);
  });

  test("a limit of files is refused with words", async () => {
    await expect(btrfsDriver.create("a", { bytes: undefined, inodes: 1000 })).rejects.toThrow(
      "cannot limit the number of files to 1000",
    );
    expect(btrfsDriver.exists("a")).toBe(false);
  });

  test("its pool grows while it is mounted, and is sound", async () => {
    expect((await growPool(needPool("btrfs"), 640 * MiB)).size).toBe(640 * MiB);
    expect(await poolFaults(needPool("btrfs"), new Map())).toEqual([]);
  });
});
