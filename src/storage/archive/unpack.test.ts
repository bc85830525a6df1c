/**
 * What a hostile archive can try, each against a directory beside the one that is filled. The names of CVEs say where
 * the idea comes from: Incus and LXD unpacked images by programs that follow links.
 */
import { beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { testDirectory } from "../../base/test-directory.ts";
import { xattrsOf } from "../../kernel/xattr.ts";
import { isRoot } from "../testing.ts";
import { readTar } from "./tar-reader.ts";
import { chunksOf, type TestMember, tarOf } from "./testing.ts";
import { type Unpacked, unpack } from "./unpack.ts";
import { templatePolicy, type UnpackPolicy } from "./unpack-policy.ts";

const root = testDirectory("storage");
const tree = `${root}/tree`;
const outside = `${root}/outside`;
const limits = { size: 1 << 20, space: 1 << 24, entries: 100 };

beforeEach(() => {
  rmSync(root, { recursive: true, force: true });
  for (const dir of [tree, outside]) mkdirSync(dir, { recursive: true });
  writeFileSync(`${outside}/secret`, "the host's");
});

async function put(
  members: readonly TestMember[],
  policy: UnpackPolicy = templatePolicy(),
): Promise<Unpacked> {
  return await unpack(readTar(chunksOf(tarOf(...members))), tree, policy, limits);
}

function outsideIsUntouched(): void {
  expect(readdirSync(outside)).toEqual(["secret"]);
  expect(readFileSync(`${outside}/secret`, "utf8")).toBe("the host's");
  expect(lstatSync(`${outside}/secret`)).toMatchObject({ uid: 0, nlink: 1 });
  expect(lstatSync(`${outside}/secret`).mode & 0o7777).toBe(0o644);
}

describe.skipIf(!isRoot)("refused", () => {
  test.each<[string, readonly TestMember[], string]>([
    ["a path with ..", [{ name: "../outside/secret", content: "x" }], '".."'],
    ["a path with .. in the middle", [{ name: "a/../../outside/secret" }], '".."'],
    ["a directory named ..", [{ name: "..", type: "5" }], '".."'],
    ["a .. by PAX", [{ name: "a", pax: { path: "a/../../outside/secret" } }], '".."'],
    [
      "a write through a link (CVE-2026-48752: templates/)",
      [
        { name: "templates", type: "2", link: outside },
        { name: "templates/secret", content: "x" },
      ],
      "is a link or a file in the archive",
    ],
    [
      "a write through a relative link",
      [
        { name: "a", type: "2", link: "../outside" },
        { name: "a/new", content: "x" },
      ],
      "is a link or a file in the archive",
    ],
    [
      "a write through a link to a link",
      [
        { name: "a", type: "2", link: outside },
        { name: "b", type: "2", link: "a" },
        { name: "b/new", content: "x" },
      ],
      "is a link or a file in the archive",
    ],
    ["a write through a file", [{ name: "a" }, { name: "a/b" }], "is a link or a file in the archive"],
    ["a hard link by ..", [{ name: "a", type: "1", link: "../outside/secret" }], '".."'],
    ["a hard link out", [{ name: "a", type: "1", link: `${outside}/secret` }], "no such file before it"],
    [
      "a hard link through a link",
      [
        { name: "a", type: "2", link: outside },
        { name: "b", type: "1", link: "a/secret" },
      ],
      "no such file before it",
    ],
    [
      "a hard link to a directory",
      [
        { name: "a", type: "5" },
        { name: "b", type: "1", link: "a" },
      ],
      "no such file",
    ],
    ["a hard link to what comes later", [{ name: "b", type: "1", link: "a" }, { name: "a" }], "no such file"],
    [
      "a second rootfs that is a link (CVE-2026-48749)",
      [
        { name: "rootfs", type: "5" },
        { name: "rootfs/etc", type: "5" },
        { name: "rootfs", type: "2", link: "/" },
      ],
      "that holds something",
    ],
    ["a top that is a link", [{ name: ".", type: "2", link: outside }], "it is the top of the archive"],
    ["an owner beyond a guest's", [{ name: "a", uid: 65536 }], "its uid 65536 is none of a guest"],
    [
      "more than --max-size",
      [
        { name: "a", content: "x" },
        { name: "b", size: 2 ** 33 - 1, content: "x" },
      ],
      "--max-size",
    ],
    [
      "a sparse bomb",
      [{ name: "a", content: "x", pax: { "GNU.sparse.map": "0,1", "GNU.sparse.size": "9000000000000000" } }],
      "--max-size",
    ],
    [
      "copies of hard links beyond --max-size",
      [
        { name: "a", content: "x".repeat(600_000) },
        { name: "b", type: "1", link: "a" },
      ],
      "--max-size",
    ],
    [
      "too many entries",
      Array.from({ length: 101 }, (_, at) => ({ name: `${at}` })),
      "more than 100 entries",
    ],
    ["a path that is too deep", [{ name: "a", pax: { path: "a/".repeat(300) } }], "deeper than"],
    ["a name that is too long", [{ name: "a", pax: { path: "a".repeat(256) } }], "longer than 255"],
    ["a link to nothing", [{ name: "a", type: "2" }], "a link to nothing"],
  ])("%s", async (_, members, words) => {
    const failure = await put(members).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "archive.refused" });
    const { message, hint } = failure as { message: string; hint: string };
    expect(`${message} ${hint}`).toContain(words);
    outsideIsUntouched();
  });

  test("control characters of names do not reach the message", async () => {
    const failure = await put([{ name: "\x1b[2J/../x" }]).catch((error: unknown) => error);
    expect(failure).toMatchObject({ message: 'member "\\x1b[2J/../x" is refused: its path has a ".."' });
  });

  test("what would fill the disk", async () => {
    const small = { ...limits, space: 4000 };
    const archive = chunksOf(tarOf({ name: "a", content: "x".repeat(5000) }));
    await expect(unpack(readTar(archive), tree, templatePolicy(), small)).rejects.toMatchObject({
      code: "host.no-space",
    });
  });
});

describe.skipIf(!isRoot)("contained", () => {
  test("an absolute name lies in the tree; a link that points out is only a link", async () => {
    await put([
      { name: `${outside}/secret`, content: "theirs" },
      { name: "out", type: "2", link: `${outside}/secret` },
    ]);
    expect(readFileSync(`${tree}${outside}/secret`, "utf8")).toBe("theirs");
    expect(readlinkSync(`${tree}/out`)).toBe(`${outside}/secret`);
    outsideIsUntouched();
  });

  test("the archive's last word replaces links and files, never what a link points to", async () => {
    await put([
      { name: "a", type: "2", link: `${outside}/secret` },
      { name: "a", content: "mine", mode: 0o600, uid: 5 },
      { name: "b", type: "2", link: outside },
      { name: "b", type: "5", mode: 0o700, uid: 6 },
      { name: "b/new", content: "inside" },
      { name: "c", type: "5" },
      { name: "c", type: "2", link: outside },
      { name: "d", content: "longer" },
      { name: "d", content: "d" },
    ]);
    expect(readFileSync(`${tree}/a`, "utf8")).toBe("mine");
    expect(readFileSync(`${tree}/b/new`, "utf8")).toBe("inside");
    expect(readlinkSync(`${tree}/c`)).toBe(outside);
    expect(readFileSync(`${tree}/d`, "utf8")).toBe("d");
    outsideIsUntouched();
  });

  test("a hard link is a copy with the same owner, mode and attributes; to itself it is nothing", async () => {
    const result = await put([
      { name: "a", content: "x", mode: 0o4711, uid: 3, pax: { "SCHILY.xattr.user.k": "v" } },
      { name: "dir/b", type: "1", link: "./a" },
      { name: "other/b", type: "5" },
      { name: "other/b", type: "1", link: "dir/b" },
      { name: "a", type: "1", link: "a" },
      { name: "l", type: "2", link: "/etc/passwd" },
      { name: "m", type: "1", link: "l" },
    ]);
    expect(result).toMatchObject({ copies: 3, entries: 7 });
    expect(statSync(`${tree}/dir/b`)).toMatchObject({ nlink: 1, uid: 3 });
    expect(statSync(`${tree}/dir/b`).mode & 0o7777).toBe(0o4711);
    expect(xattrsOf(`${tree}/dir/b`)).toEqual(xattrsOf(`${tree}/a`));
    expect(readlinkSync(`${tree}/m`)).toBe("/etc/passwd");
  });

  test("devices are left out, and hard links to them", async () => {
    const result = await put([
      { name: "dev/sda", type: "4", mode: 0o666 },
      { name: "disk", type: "1", link: "dev/sda" },
      { name: "fifo", type: "6" },
    ]);
    expect(result).toMatchObject({ nodes: 3, copies: 0 });
    expect(existsSync(`${tree}/disk`)).toBe(false);
  });

  test("attributes of overlayfs and of other hosts are left out, capabilities and ACLs stay", async () => {
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    const result = await put([
      {
        name: "a",
        pax: {
          "SCHILY.xattr.trusted.overlay.redirect": "/etc",
          "SCHILY.xattr.trusted.overlay.opaque": "y",
          "SCHILY.xattr.security.selinux": "x",
          "SCHILY.xattr.security.capability": capability,
          "SCHILY.acl.access": "user::rw-,user:1000:r--,group::r--,mask::r--,other::---",
        },
      },
      {
        name: "b",
        pax: { "SCHILY.acl.access": "user::rw-,user:somebody:r--,group::r--,mask::r--,other::---" },
      },
      {
        name: "c",
        pax: { "SCHILY.acl.access": "user::rw-,user:joe:r--:70000,group::r--,mask::r--,other::---" },
      },
      { name: "d", type: "5", pax: { "SCHILY.acl.default": "user::rwx,group::r-x,other::---" } },
      { name: "d/e", mode: 0o666 },
    ]);
    const names = (file: string): string[] => xattrsOf(`${tree}/${file}`).map(({ name }) => name.toString());
    expect(result.attributes).toBe(5);
    expect(names("a")).toEqual(["security.capability", "system.posix_acl_access"]);
    expect(xattrsOf(`${tree}/a`)[0]?.value).toEqual(capability);
    expect(names("b")).toEqual([]);
    expect(names("d")).toEqual(["system.posix_acl_default"]);
    expect(names("d/e")).toEqual([]);
    expect(statSync(`${tree}/d/e`).mode & 0o7777).toBe(0o666);
  });

  test("the ids of an unprivileged container begin at its base", async () => {
    await put([{ name: "a", uid: 100_005, gid: 165_535 }], templatePolicy(100_000));
    expect(statSync(`${tree}/a`)).toMatchObject({ uid: 5, gid: 65535 });
    await expect(put([{ name: "b", uid: 5, gid: 100_000 }], templatePolicy(100_000))).rejects.toThrow(
      "none of a guest",
    );
  });

  test("times come with their nanoseconds, of directories too", async () => {
    await put([
      { name: "d", type: "5", pax: { mtime: "1000000000.123456789" } },
      { name: "d/f", pax: { mtime: "1000000001.5" } },
    ]);
    const nanoseconds = (path: string): bigint => lstatSync(path, { bigint: true }).mtimeNs;
    expect(nanoseconds(`${tree}/d`)).toBe(1_000_000_000_123_456_789n);
    expect(nanoseconds(`${tree}/d/f`)).toBe(1_000_000_001_500_000_000n);
  });
});

test.skipIf(!isRoot)("another policy keeps hard links, whiteouts and attributes of overlayfs", async () => {
  const policy: UnpackPolicy = {
    hardLinks: "keep",
    keepsNode: ({ type, major, minor }) => type === "char" && major === 0 && minor === 0,
    xattr: (xattr) => xattr,
    owner: (id) => id + 100_000,
  };
  const result = await put(
    [
      { name: "a", content: "x" },
      { name: "b", type: "1", link: "a" },
      { name: "gone", type: "3" },
      { name: "d", type: "5", pax: { "SCHILY.xattr.trusted.overlay.opaque": "y" } },
    ],
    policy,
  );
  expect(result).toMatchObject({ copies: 0, nodes: 0, attributes: 0 });
  expect(statSync(`${tree}/a`)).toMatchObject({ nlink: 2, uid: 100_000 });
  expect(lstatSync(`${tree}/gone`)).toMatchObject({ rdev: 0, uid: 100_000 });
  expect(lstatSync(`${tree}/gone`).isCharacterDevice()).toBe(true);
  expect(xattrsOf(`${tree}/d`).map(({ name }) => name.toString())).toEqual(["trusted.overlay.opaque"]);
});
