import { beforeEach, describe, expect, test } from "bun:test";
import {
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { testDirectory } from "../../base/test-directory.ts";
import { makeNode, setTime } from "../../kernel/inode.ts";
import { runProgram } from "../../kernel/run.ts";
import { setXattr, xattrsOf } from "../../kernel/xattr.ts";
import { digestTree } from "../digest.ts";
import { isRoot } from "../testing.ts";
import { backupPolicy } from "./backup-policy.ts";
import { splitTrees } from "./backup-trees.ts";
import { mapXattr, toGuest } from "./guest-attributes.ts";
import { endOfArchive } from "./tar-block.ts";
import { readTar } from "./tar-reader.ts";
import { type TreeRules, writeTree } from "./tar-writer.ts";
import { treeEntries } from "./tree-entries.ts";
import { unpack } from "./unpack.ts";

const base = 300_000;
const noLimits = { size: Infinity, space: Infinity, entries: Infinity };

describe.skipIf(!isRoot)("a guest's tree in a tar", () => {
  const root = testDirectory("storage");
  const source = `${root}/source`;
  const target = `${root}/target`;
  beforeEach(() => {
    rmSync(root, { recursive: true, force: true });
    for (const dir of [root, source, target]) mkdirSync(dir);
  });

  const archive = async (rules: Pick<TreeRules, "owner" | "xattr">): Promise<Buffer> => {
    const parts: Buffer[] = [];
    const write = async (bytes: Uint8Array): Promise<void> => {
      parts.push(Buffer.from(bytes));
    };
    await writeTree(source, write, { prefix: "x/", ...rules });
    await write(endOfArchive);
    return Buffer.concat(parts);
  };

  function fill(): void {
    chownSync(source, base, base);
    writeFileSync(`${source}/file`, "content");
    chownSync(`${source}/file`, base + 1000, base + 65535);
    linkSync(`${source}/file`, `${source}/second`);
    symlinkSync("t".repeat(300), `${source}/link`);
    linkSync(`${source}/link`, `${source}/link2`);
    makeNode(`${source}/fifo`, "fifo", 0, 0);
    makeNode(`${source}/whiteout`, "char", 0, 0);
    linkSync(`${source}/whiteout`, `${source}/whiteout2`);
    mkdirSync(`${source}/dir`);
    setXattr(`${source}/dir`, { name: Buffer.from("trusted.overlay.opaque"), value: Buffer.from("y") });
    const acl = Buffer.alloc(4 + 8 * 5);
    acl.writeUInt32LE(2, 0);
    for (const [index, [tag = 0, id = 0]] of [
      [1, 0xffffffff],
      [2, base + 5],
      [4, 0xffffffff],
      [0x10, 0xffffffff],
      [0x20, 0xffffffff],
    ].entries()) {
      acl.writeUInt16LE(tag, 4 + 8 * index);
      acl.writeUInt16LE(6, 6 + 8 * index);
      acl.writeUInt32LE(id, 8 + 8 * index);
    }
    for (const kind of ["access", "default"])
      setXattr(`${source}/dir`, { name: Buffer.from(`system.posix_acl_${kind}`), value: acl });
    const capability = Buffer.alloc(24);
    capability.writeUInt32LE(0x03000001, 0);
    capability.writeUInt32LE(base, 20);
    setXattr(`${source}/file`, { name: Buffer.from("security.capability"), value: capability });
    const sparse = openSync(`${source}/dir/sparse`, "w");
    writeSync(sparse, "one", 0);
    writeSync(sparse, "two", 5_000_000);
    writeSync(sparse, "\0", 9_999_999);
    closeSync(sparse);
    setTime(`${source}/dir/sparse`, -5, 123_456_789);
    setTime(`${source}/file`, 1_700_000_000, 1);
    setTime(`${source}/dir`, 1_600_000_000, 500_000_000);
  }

  const times = (tree: string): readonly string[] =>
    [...treeEntries(tree)].map(({ relative, stat }) => `${relative} ${stat.mtimeNs} ${stat.nlink}`);

  test("comes out as it went in, for a guest with other ids", async () => {
    fill();
    const map = toGuest(base);
    const bytes = await archive({
      owner: (id) => map(id) ?? 65534,
      xattr: (xattr) => mapXattr(xattr, map, true),
    });
    async function* once(): AsyncGenerator<Uint8Array> {
      yield bytes;
    }
    const trees = splitTrees(readTar(once()));
    const moved = 2 * base;
    await unpack(trees.at("x/"), target, backupPolicy(moved, true), noLimits);
    await trees.end();
    expect(times(target)).toEqual(times(source));
    expect(statSync(`${target}/dir/sparse`).blocks).toBe(statSync(`${source}/dir/sparse`).blocks);
    expect(statSync(`${target}/file`)).toMatchObject({ uid: moved + 1000, gid: moved + 65535, nlink: 2 });
    const value = (name: string, path: string) =>
      xattrsOf(`${target}/${path}`).find((xattr) => xattr.name.toString() === name)?.value;
    expect(value("security.capability", "file")?.readUInt32LE(20)).toBe(moved);
    expect(value("system.posix_acl_default", "dir")?.readUInt32LE(4 + 8 + 4)).toBe(moved + 5);
    expect(value("trusted.overlay.opaque", "dir")?.toString()).toBe("y");
    expect(lstatSync(`${target}/whiteout2`)).toMatchObject({ rdev: 0, nlink: 2 });
    expect(readFileSync(`${target}/dir/sparse`).equals(readFileSync(`${source}/dir/sparse`))).toBe(true);
  });

  test("GNU tar makes the same of it", async () => {
    fill();
    for (const name of ["whiteout", "whiteout2"]) rmSync(`${source}/${name}`);
    // GNU tar says that times before 1970 are implausible.
    setTime(`${source}/dir/sparse`, 5, 123_456_789);
    setTime(`${source}/dir`, 1_600_000_000, 500_000_000);
    for (const { relative } of treeEntries(source)) {
      const path = Buffer.concat([Buffer.from(`${source}/`), relative]);
      const { uid, gid } = lstatSync(path);
      // Root's own ids, as the archive has them.
      if (uid >= base) Bun.spawnSync(["chown", "-h", `${uid - base}:${gid - base}`, path.toString()]);
    }
    await Bun.write(`${root}/x.tar`, await archive({ owner: (id) => id, xattr: (xattr) => xattr }));
    const argv = [
      "tar",
      "--xattrs",
      "--xattrs-include=*",
      "--numeric-owner",
      "-xpf",
      `${root}/x.tar`,
      "-C",
      target,
      "--strip-components=1",
    ];
    expect(await runProgram(argv, { package: "tar" })).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await digestTree(target)).toEqual(await digestTree(source));
    // The top is stripped off, with its time.
    expect(times(target).slice(1)).toEqual(times(source).slice(1));
    expect(statSync(`${target}/dir/sparse`).blocks).toBeLessThan(100);
  });

  test("depth costs no descriptors, and what is left out is not entered", () => {
    let fd = openSync(source, "r");
    for (let level = 0; level < 300; level += 1) {
      mkdirSync(`/proc/self/fd/${fd}/${"d".repeat(20)}`);
      const next = openSync(`/proc/self/fd/${fd}/${"d".repeat(20)}`, "r");
      closeSync(fd);
      fd = next;
    }
    closeSync(fd);
    expect([...treeEntries(source)]).toHaveLength(301);
    expect([...treeEntries(source, ({ depth }) => depth > 10)]).toHaveLength(11);
  });
});
