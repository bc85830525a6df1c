import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { poolDir } from "../base/paths.ts";
import { runProgram } from "../kernel/run.ts";
import { imageDriver } from "./image.ts";
import { run } from "./program.ts";
import { isRoot, temporaryRoot, useRoot } from "./testing.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const limits = (bytes: number) => ({ bytes, inodes: undefined });

describe.skipIf(!isRoot)("image", () => {
  const { root, drop } = temporaryRoot();
  const image = (id: string) => `${poolDir()}/image/${id}.img`;
  const mounted = async (id: string, work: (dir: string) => Promise<void> | void): Promise<void> => {
    const dir = `${root}/mnt`;
    mkdirSync(dir, { recursive: true });
    const { code, stderr } = await runProgram(["mount", "-o", "loop,noinit_itable", image(id), dir], {
      package: "mount",
    });
    expect(stderr + code).toBe("0");
    try {
      await work(dir);
    } finally {
      await runProgram(["umount", dir], { package: "mount" });
    }
  };
  const isClean = async (id: string): Promise<boolean> =>
    (await run("e2fsck", ["-fn", image(id)])).code === 0;

  beforeAll(() => useRoot(root));
  afterAll(drop);
  beforeEach(() => imageDriver.remove("a"));

  test("is sparse, has the size asked for, 10 GiB by default, and holds upper and work", async () => {
    await imageDriver.create("a", { bytes: undefined, inodes: undefined });
    expect(statSync(image("a")).size).toBe(10 * GiB);
    const usage = imageDriver.usage("a");
    expect(usage.bytes).toBe(10 * GiB);
    expect(usage.allocated).toBeLessThan(MiB);
    expect(usage.usedBytes).toBeLessThan(MiB);
    expect(await isClean("a")).toBe(true);
    await mounted("a", (dir) => {
      expect(existsSync(`${dir}/upper`) && existsSync(`${dir}/work`)).toBe(true);
    });
  });

  test("the limit holds and usage tells what was written", async () => {
    await imageDriver.create("a", limits(64 * MiB));
    await mounted("a", (dir) => {
      writeFileSync(`${dir}/upper/some`, Buffer.alloc(20 * MiB, 1));
      expect(() => writeFileSync(`${dir}/upper/more`, Buffer.alloc(50 * MiB, 1))).toThrow("ENOSPC");
    });
    expect(imageDriver.usage("a").usedBytes).toBeGreaterThan(20 * MiB);
  });

  test("the inode limit holds and cannot be changed", async () => {
    await imageDriver.create("a", { bytes: 64 * MiB, inodes: 200 });
    expect(imageDriver.usage("a").inodes).toBeLessThan(300);
    await mounted("a", (dir) => {
      expect(() => {
        for (let i = 0; i < 300; i += 1) writeFileSync(`${dir}/upper/${i}`, "");
      }).toThrow("ENOSPC");
    });
    await expect(imageDriver.resize("a", { bytes: 64 * MiB, inodes: 500 })).rejects.toThrow("inode limit");
  });

  test("grows and shrinks with what it holds", async () => {
    await imageDriver.create("a", limits(128 * MiB));
    const content = Buffer.alloc(10 * MiB, 7);
    await mounted("a", (dir) => writeFileSync(`${dir}/upper/kept`, content));
    for (const bytes of [GiB, 40 * GiB, 64 * MiB]) {
      await imageDriver.resize("a", limits(bytes));
      expect(statSync(image("a")).size).toBe(bytes);
      expect(imageDriver.usage("a").bytes).toBe(bytes);
      expect(await isClean("a")).toBe(true);
    }
    await mounted("a", (dir) => expect(readFileSync(`${dir}/upper/kept`).equals(content)).toBe(true));
  });

  test("does not shrink below what it holds, says how far it can, and stays as it was", async () => {
    await imageDriver.create("a", limits(256 * MiB));
    await mounted("a", (dir) => writeFileSync(`${dir}/upper/much`, Buffer.alloc(100 * MiB, 1)));
    await expect(imageDriver.resize("a", limits(64 * MiB))).rejects.toMatchObject({
      code: "storage.failed",
      hint: expect.stringMatching(/^at least 1\d\dM/),
    });
    expect(imageDriver.usage("a").bytes).toBe(256 * MiB);
    expect(await isClean("a")).toBe(true);
  });

  test("sizes that cannot be are refused", async () => {
    await expect(imageDriver.create("a", limits(MiB))).rejects.toThrow("an image of 1M cannot be made");
    expect(imageDriver.exists("a")).toBe(false);
  });

  test("refuses to touch a volume that is mounted", async () => {
    await imageDriver.create("a", limits(64 * MiB));
    await mounted("a", async () => {
      await expect(imageDriver.resize("a", limits(128 * MiB))).rejects.toMatchObject({
        code: "storage.in-use",
      });
      await expect(imageDriver.remove("a")).rejects.toMatchObject({ code: "storage.in-use" });
    });
    expect(imageDriver.exists("a")).toBe(true);
  });

  test("a resize that was killed at any point is completed by the next one", async () => {
    await imageDriver.create("a", limits(256 * MiB));
    const content = Buffer.alloc(MiB, 3);
    await mounted("a", (dir) => {
      for (let i = 0; i < 40; i += 1) writeFileSync(`${dir}/upper/${i}`, content);
    });
    const sizes = [2 * GiB, 128 * MiB];
    for (let round = 0; round < 24; round += 1) {
      const bytes = sizes[round % 2] ?? GiB;
      const target = image("a");
      // As the driver does it, but killed.
      await run("e2fsck", ["-f", "-p", target]);
      if (bytes > statSync(target).size) truncateSync(target, bytes);
      const undo = target.replace(/img$/, "undo");
      const child = Bun.spawn(["/usr/sbin/resize2fs", "-z", undo, target, String(bytes / 4096)], {
        stdout: "ignore",
        stderr: "ignore",
      });
      await Bun.sleep(round * 4);
      child.kill("SIGKILL");
      await child.exited;
      await imageDriver.resize("a", limits(bytes));
      expect(existsSync(undo)).toBe(false);
      expect(imageDriver.usage("a").bytes).toBe(bytes);
      expect(await isClean("a")).toBe(true);
    }
    await mounted("a", (dir) => {
      for (let i = 0; i < 40; i += 1) expect(readFileSync(`${dir}/upper/${i}`).equals(content)).toBe(true);
    });
  }, 60_000);
});
