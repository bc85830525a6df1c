import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { poolDir } from "../base/paths.ts";
import { testDirectory } from "../base/test-directory.ts";
import { runProgram } from "../kernel/run.ts";
import { imageDriver } from "./image.ts";
import { run } from "./program.ts";
import { isRoot, useRoot } from "./testing.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const limits = (bytes: number) => ({ bytes, inodes: undefined });

describe.skipIf(!isRoot)("image", () => {
  const root = testDirectory("storage");
  const mountPoint = `${root}/mnt`;
  const image = (id: string) => `${poolDir()}/image/${id}.img`;
  /** Runs a shell script with the image on $m, in a mount namespace of its own: no other process inherits the mount. */
  const mounted = async (id: string, script: string): Promise<string> => {
    const mount = `mount -o loop,noinit_itable,discard "$i" "$m" || exit 99`;
    const { stdout, stderr } = await runProgram(
      ["unshare", "--mount", "--propagation=private", "sh", "-c", `${mount}; ${script}`],
      { package: "util-linux", env: { i: image(id), m: mountPoint } },
    );
    return stdout + stderr;
  };
  const isClean = async (id: string): Promise<boolean> =>
    (await run("e2fsck", ["-fn", image(id)])).code === 0;

  beforeAll(() => {
    useRoot(root);
    mkdirSync(mountPoint);
  });
  beforeEach(() => imageDriver.remove("a"));

  test("is sparse, has the size asked for, 10 GiB by default, and holds upper and work", async () => {
    await imageDriver.create("a", { bytes: undefined, inodes: undefined });
    expect(statSync(image("a")).size).toBe(10 * GiB);
    const usage = imageDriver.usage("a");
    expect(usage.bytes).toBe(10 * GiB);
    expect(usage.allocated).toBeLessThan(MiB);
    expect(usage.usedBytes).toBeLessThan(MiB);
    expect(await isClean("a")).toBe(true);
    expect(await mounted("a", "ls $m")).toBe("lost+found\nupper\nwork\n");
  });

  test("the limit holds and usage tells what was written", async () => {
    await imageDriver.create("a", limits(64 * MiB));
    const said = await mounted(
      "a",
      "head -c 20M /dev/urandom > $m/upper/some; head -c 50M /dev/urandom > $m/upper/more; rm $m/upper/more",
    );
    expect(said).toContain("No space left");
    expect(imageDriver.usage("a").usedBytes).toBeGreaterThan(20 * MiB);
  });

  test("the inode limit holds and cannot be changed", async () => {
    await imageDriver.create("a", { bytes: 64 * MiB, inodes: 200 });
    expect(imageDriver.usage("a").inodes).toBeLessThan(300);
    expect(await mounted("a", "cd $m/upper; seq 300 | xargs touch")).toContain("No space left");
    await expect(imageDriver.resize("a", { bytes: 64 * MiB, inodes: 500 })).rejects.toThrow("inode limit");
  });

  test("grows and shrinks with what it holds", async () => {
    await imageDriver.create("a", limits(128 * MiB));
    const sum = await mounted("a", "head -c 10M /dev/urandom > $m/upper/kept; sha256sum < $m/upper/kept");
    for (const bytes of [GiB, 40 * GiB, 64 * MiB]) {
      await imageDriver.resize("a", limits(bytes));
      expect(statSync(image("a")).size).toBe(bytes);
      expect(imageDriver.usage("a").bytes).toBe(bytes);
      expect(await isClean("a")).toBe(true);
    }
    expect(await mounted("a", "sha256sum < $m/upper/kept")).toBe(sum);
    expect(readdirSync(`${poolDir()}/image`)).toEqual(["a.img"]);
  });

  test("does not shrink below what it holds, says how far it can, and stays as it was", async () => {
    await imageDriver.create("a", limits(256 * MiB));
    await mounted("a", "head -c 100M /dev/urandom > $m/upper/much");
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
    const holder = Bun.spawn(
      [
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        `mount -o loop "$i" "$m" && echo up && read x`,
      ],
      { env: { ...process.env, i: image("a"), m: mountPoint }, stdin: "pipe", stdout: "pipe" },
    );
    try {
      await holder.stdout.getReader().read();
      const inUse = { code: "storage.in-use" };
      await expect(imageDriver.resize("a", limits(128 * MiB))).rejects.toMatchObject(inUse);
      await expect(imageDriver.remove("a")).rejects.toMatchObject(inUse);
      expect(imageDriver.exists("a")).toBe(true);
    } finally {
      holder.stdin.end();
      await holder.exited;
    }
  }, 20_000);

  test("a resize that was killed at any point is completed by the next one", async () => {
    await imageDriver.create("a", limits(256 * MiB));
    const sums = await mounted(
      "a",
      "cd $m/upper; for i in $(seq 40); do head -c 1M /dev/urandom > $i; done; sha256sum *",
    );
    const sizes = [2 * GiB, 128 * MiB];
    for (let round = 0; round < 24; round += 1) {
      const bytes = sizes[round % 2] ?? GiB;
      const child = Bun.spawn(
        [process.execPath, import.meta.path.replace("image.test", "resize-once"), root, "a", String(bytes)],
        {
          stdout: "ignore",
          stderr: "inherit",
        },
      );
      await Bun.sleep(20 + round * 12);
      child.kill("SIGKILL");
      await child.exited;
      await imageDriver.resize("a", limits(bytes));
      expect(readdirSync(`${poolDir()}/image`)).toEqual(["a.img"]);
      expect(imageDriver.usage("a").bytes).toBe(bytes);
      expect(await isClean("a")).toBe(true);
    }
    expect(await mounted("a", "cd $m/upper; sha256sum *")).toBe(sums);
  }, 60_000);
});
