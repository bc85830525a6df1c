import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { testDirectory } from "../base/test-directory.ts";
import { binaryPath } from "./binaries.ts";
import { mustRun } from "./run.ts";
import { openTreeCopy } from "./tree-tool.ts";

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)("berth-tree", () => {
  const root = testDirectory("tree");
  const source = `${root}/source`;
  const copy = `${root}/copy`;
  /** A script in a mount namespace of its own: what it mounts goes with it. */
  const script = (text: string): Promise<string> =>
    mustRun(["unshare", "--mount", "--propagation=private", "sh", "-euc", text], {
      package: "util-linux",
      env: { root, tool: binaryPath("berth-tree") },
    });

  beforeEach(() => {
    for (const dir of [source, copy]) {
      rmSync(dir, { recursive: true, force: true });
      mkdirSync(dir);
    }
  });

  test("copies, then follows what changes", async () => {
    writeFileSync(`${source}/a`, "one");
    linkSync(`${source}/a`, `${source}/b`);
    await using tree = openTreeCopy(source, copy);
    expect(await tree.pass()).toMatchObject({ entries: 2, copied: 3, removed: 0 });
    expect(statSync(`${copy}/a`).ino).toBe(statSync(`${copy}/b`).ino);
    writeFileSync(`${source}/c`, "two");
    rmSync(`${source}/b`);
    expect(await tree.pass({ sync: false })).toMatchObject({ entries: 2, removed: 1 });
    await tree.sync();
    await tree.end();
    expect(readFileSync(`${copy}/c`, "utf8")).toBe("two");
  });

  test("moves ids that lie in the range", async () => {
    writeFileSync(`${source}/a`, "");
    await using tree = openTreeCopy(source, copy, { shift: { from: 0, to: 70000, count: 10 } });
    await tree.pass();
    expect(statSync(`${copy}/a`).uid).toBe(70000);
  });

  test("says what is not there, and whose name it is on one line", async () => {
    await using tree = openTreeCopy(`${root}/no\nwhere`, copy);
    await expect(tree.pass()).rejects.toMatchObject({
      code: "storage.failed",
      message: expect.stringContaining("open: /tmp/t-tree-"),
    });
  });

  test("a full file system is host.no-space", async () => {
    const small = `${root}/small`;
    mkdirSync(small);
    await mustRun(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], { package: "mount" });
    try {
      writeFileSync(`${source}/big`, Buffer.alloc(1 << 20, 1));
      await using tree = openTreeCopy(source, small);
      await expect(tree.pass()).rejects.toMatchObject({ code: "host.no-space" });
    } finally {
      await mustRun(["umount", small], { package: "mount" });
    }
  });

  describe("on an overlay of three file systems", () => {
    let said = "";
    beforeAll(async () => {
      // lower: a template below a frozen layer that renamed and removed some of it. The guest then does more of that.
      said = await script(`
        mount -t tmpfs tmpfs $root; cd $root; mkdir base frozen pool union
        for disk in base frozen pool; do truncate -s 32M $disk.img; mkfs.ext4 -qF $disk.img; mount -o loop $disk.img $disk; done
        over() { mount -t overlay -o lowerdir=$1,upperdir=$2,workdir=$3,index=on,nfs_export=on,redirect_dir=on,metacopy=off none union; }
        list() { (cd union; find . -printf '%y %m %U %s %p %l\\n'; find . -type f -exec sha256sum {} +) | sort; }
        copied() { mkdir pool/$1 pool/$1.work; echo pass | $tool copy pool/upper pool/$1 >/dev/null; }

        mkdir -p base/l/etc/sub/deep base/l/ren/x/y base/l/opq/a base/l/gone base/l/lib frozen/u frozen/w pool/upper pool/work
        for f in etc/a etc/sub/b etc/sub/deep/c ren/x/y/f opq/a/e gone/z lib/one; do echo $f >base/l/$f; done
        ln base/l/lib/one base/l/lib/two; ln base/l/lib/one base/l/ren/three
        over base/l frozen/u frozen/w; cd union
        echo mid >etc/sub/mid; mv ren ren2; rm -r gone
        cd ..; umount union
        over frozen/u:base/l pool/upper pool/work; cd union
        echo new >etc/new; echo new >etc/sub/deep/new; rm etc/a; rm -r opq; mkdir opq; echo z >opq/z
        mv ren2 ren3; mv ren3/x ren3/x2; echo new >ren3/x2/y/new; mkdir gone; echo changed >lib/one
        cd ..
        copied early
        echo "aliases $($tool aliases union pool/work), then $($tool aliases union pool/work)"
        list >before; umount union
        copied late
        for one in early late; do
          over frozen/u:base/l pool/$one pool/$one.work; list >after
          echo "$one $(cat union/lib/one union/lib/two union/ren3/three | tr '\\n' ' ')"
          diff before after >&2 && echo "$one is the same"
          umount union
        done || true
        umount pool frozen base`);
    });

    test("what was copied up, renamed and made opaque merges as it did", () => {
      expect(said).toContain("late is the same");
    });

    test("names of one file stay one once they are copied up, and would not otherwise", () => {
      expect(said).toContain("aliases done 3, then done 0");
      expect(said).toContain("early changed lib/one lib/one");
      expect(said).toContain("late changed changed changed");
    });
  });
});
