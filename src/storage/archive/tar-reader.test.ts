import { beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { testDirectory } from "../../base/test-directory.ts";
import { runProgram } from "../../kernel/run.ts";
import { setXattr } from "../../kernel/xattr.ts";
import { digestTree } from "../digest.ts";
import { stripTree } from "../strip.ts";
import { isRoot } from "../testing.ts";
import type { Member } from "./member.ts";
import { readTar } from "./tar-reader.ts";
import { chunksOf, sealed, type TestMember, tarOf } from "./testing.ts";
import { unpack } from "./unpack.ts";
import { templatePolicy } from "./unpack-policy.ts";

type Read = Omit<Member, "content"> & { readonly text: string };

async function readAll(archive: Buffer, chunk?: number): Promise<readonly Read[]> {
  const found: Read[] = [];
  for await (const { content, ...member } of readTar(chunksOf(archive, chunk))) {
    const whole = Buffer.alloc(Math.min(member.size, 1 << 20));
    for await (const { at, bytes } of content()) Buffer.from(bytes).copy(whole, at);
    found.push({ ...member, text: whole.toString("latin1") });
  }
  return found;
}

const globalHeader = (records: string): TestMember => ({ name: "g", type: "g", content: records });

const one = async (member: TestMember): Promise<Read | undefined> => (await readAll(tarOf(member)))[0];

describe("what a member says", () => {
  test("comes from its header, in chunks of any size", async () => {
    const archive = tarOf(
      { name: "dir/", type: "5", mode: 0o1777 },
      { name: "dir/file", content: "hello", uid: 7, gid: 8, mode: 0o4755 },
      { name: "dir/link", type: "2", link: "../file" },
    );
    const whole = await readAll(archive);
    expect(whole).toMatchObject([
      { type: "directory", mode: 0o1777 },
      { type: "file", text: "hello", uid: 7, gid: 8, mode: 0o4755, offset: 512 },
      { type: "symlink", link: Buffer.from("../file") },
    ]);
    for (const size of [1, 511, 513]) expect(await readAll(archive, size)).toEqual(whole);
  });

  test("comes from global PAX headers where its own says nothing", async () => {
    const read = await readAll(
      tarOf(
        globalHeader("12 uid=4711\n14 mtime=42.5\n"),
        { name: "a" },
        { name: "b", pax: { uid: "7" } },
        globalHeader("9 uid=12\n"),
        { name: "c" },
        { name: "d", pax: { uid: "" }, uid: 9 },
      ),
    );
    expect(read.map(({ uid }) => uid)).toEqual([4711, 7, 12, 9]);
    expect(read.map(({ mtime }) => mtime)).toEqual(Array(4).fill({ seconds: 42, nanoseconds: 500_000_000 }));
  });

  test("costs the same however much global headers hold", async () => {
    const body = Array.from({ length: 20_000 }, (_, index) => `18 c${String(index).padStart(8, "0")}=valu\n`);
    const members = Array.from({ length: 3000 }, (_, index) => ({ name: `file${index}` }));
    const archive = tarOf(globalHeader(body.join("")), ...members);
    const since = performance.now();
    expect(await readAll(archive, 1 << 20)).toHaveLength(3000);
    expect(performance.now() - since).toBeLessThan(3000);
  });

  test("comes from PAX records where there are some", async () => {
    const member = await one({
      name: "short",
      content: "abc",
      pax: {
        path: Buffer.from("l\xf6ng", "latin1"),
        uid: "4000000",
        mtime: "-1.25",
        "SCHILY.xattr.user.a": "x=\ny",
        "LIBARCHIVE.xattr.user.b%3D": "AAE=",
      },
    });
    expect(member).toMatchObject({
      name: Buffer.from("l\xf6ng", "latin1"),
      uid: 4_000_000,
      mtime: { seconds: -2, nanoseconds: 750_000_000 },
      text: "abc",
    });
    expect(member?.xattrs.map(({ name, value }) => `${name} ${value.toString("hex")}`)).toEqual([
      "user.b= 0001",
      "user.a 783d0a79",
    ]);
  });

  test("may hold numbers in base-256, and sums of signed bytes", async () => {
    const archive = tarOf({ name: "\xff\xfe", content: "abc" });
    archive.set([0x80, 0, 0, 0, 0, 1, 0, 0], 108);
    sealed(archive.subarray(0, 512));
    expect((await readAll(archive))[0]).toMatchObject({ uid: 65536, text: "abc" });
    const sum = Number.parseInt(archive.toString("latin1", 148, 154), 8) - 512 - 256;
    archive.write(sum.toString(8).padStart(6, "0"), 148, "latin1");
    expect((await readAll(archive))[0]).toMatchObject({ uid: 65536, name: Buffer.from([0xff, 0xfe]) });
  });
});

test("who stops in the middle stops what makes the stream", async () => {
  let stopped = false;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      yield* chunksOf(tarOf({ name: "a" }, { name: "b" }), 512);
    } finally {
      stopped = true;
    }
  }
  for await (const { name } of readTar(source())) if (name.toString() === "a") break;
  expect(stopped).toBe(true);
});

describe("damage is told with byte and member", () => {
  const good = tarOf({ name: "a", content: "x".repeat(600) }, { name: "b" });
  const message = async (archive: Buffer): Promise<string> =>
    await readAll(archive).then(
      () => "no error",
      (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
    );

  test("wherever it is cut", async () => {
    for (const at of [0, 1, 511, 512, 800, 1535, 1536, 2047, 2048])
      expect(await message(good.subarray(0, at))).toContain(
        "archive.damaged: the archive is damaged at byte",
      );
    expect(await message(good.subarray(0, 800))).toContain('at byte 0, member "a": it is cut short');
    expect(await message(good.subarray(0, 2048))).toContain("at byte 2048: it is cut short");
  });

  test.each([
    [
      "a wrong checksum",
      Object.assign(Buffer.from(good), { 3: 65 }),
      "byte 0: the checksum of its header is wrong",
    ],
    ["a negative size", patched(124, "\xff".repeat(12)), 'member "a": its size is negative'],
    ["a number that is none", patched(124, "12x45678901"), "a number of its header is not one"],
    ["an unknown type", patched(156, "Z"), "its type"],
    [
      "a PAX record too long",
      tarOf({ name: "x", type: "x", content: "99 path=a\n" }),
      "PAX header is malformed",
    ],
    ["a PAX header without end", tarOf({ name: "x", type: "x", size: 2 ** 32 }), "larger than 4 MiB"],
    ["attributes for all", tarOf(globalHeader("23 SCHILY.xattr.user=a\n")), "attributes to every file"],
    ["a NUL in a name", tarOf({ name: "x", pax: { path: "a\0b" } }), "holds a NUL byte"],
    ["zeros without end", Buffer.concat([good, Buffer.alloc(65 << 20)]), "follow its end mark"],
    ["zeros in between", Buffer.concat([Buffer.alloc(512), good]), "a block of zeros"],
  ])("%s", async (_, archive, words) => {
    expect(await message(archive)).toContain(words);
  });

  test("a sparse map that lies", async () => {
    for (const map of ["0,4,2,4", "0,400", "8,8", "0,4,5", "a,b", "0,4,9007199254740993,1"])
      expect(
        await message(
          tarOf({ name: "s", content: "12345678", pax: { "GNU.sparse.map": map, "GNU.sparse.size": "12" } }),
        ),
      ).toContain("archive.damaged");
    const billions = `${2 ** 40}\n`.padEnd(512, "0");
    expect(
      await message(
        tarOf({
          name: "s",
          content: billions,
          pax: { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5" },
        }),
      ),
    ).toContain("too many parts");
  });

  function patched(at: number, text: string): Buffer {
    const archive = Buffer.from(good);
    archive.write(text, at, "latin1");
    sealed(archive.subarray(0, 512));
    return archive;
  }
});

describe.skipIf(!isRoot)("archives of GNU tar", () => {
  const root = testDirectory("storage");
  const tree = `${root}/tree`;
  const shell = async (line: string): Promise<void> => {
    const { code, stderr } = await runProgram(["sh", "-c", line], { package: "dash" });
    if (code !== 0) throw new Error(`${line}: ${stderr}`);
  };
  beforeEach(() => {
    rmSync(root, { recursive: true, force: true });
    mkdirSync(`${tree}/dir`, { recursive: true });
  });

  async function fill(v7: boolean, longNames: boolean): Promise<void> {
    writeFileSync(`${tree}/dir/file`, "content");
    chmodSync(`${tree}/dir/file`, 0o4711);
    writeFileSync(Buffer.from(`${tree}/\xff\xfe`, "latin1"), "bytes");
    linkSync(`${tree}/dir/file`, `${tree}/second`);
    symlinkSync("/etc/passwd", `${tree}/absolute`);
    const fd = openSync(`${tree}/sparse`, "w");
    // More parts than a header holds, a hole at the end.
    for (let part = 0; part < 40; part += 1) writeSync(fd, `part ${part}`, part * 65_536);
    ftruncateSync(fd, 8 << 20);
    await shell(`chown 1000:1001 "${tree}/dir"; chmod 2750 "${tree}/dir"`);
    if (v7) return;
    await shell(`mkfifo "${tree}/fifo"; mknod "${tree}/null" c 1 3`);
    if (!longNames) return;
    mkdirSync(`${tree}/${"d".repeat(90)}/${"e".repeat(90)}`, { recursive: true });
    writeFileSync(`${tree}/${"d".repeat(90)}/${"e".repeat(90)}/${"f".repeat(200)}`, "deep");
    symlinkSync("t".repeat(300), `${tree}/long-link`);
  }

  test.each([
    ["v7", "--format=v7", false],
    ["ustar", "--format=ustar", false],
    ["old GNU, sparse", "--format=oldgnu --sparse", true],
    ["GNU, sparse", "--format=gnu --sparse", true],
    ["PAX, sparse 0.0", "--format=posix --sparse --sparse-version=0.0 --xattrs --xattrs-include=*", true],
    ["PAX, sparse 0.1", "--format=posix --sparse --sparse-version=0.1 --xattrs --xattrs-include=*", true],
    ["PAX, sparse 1.0", "--format=posix --sparse --sparse-version=1.0 --xattrs --xattrs-include=*", true],
  ])("%s: the tree that tar and stripping make", async (_, options, longNames) => {
    await fill(options === "--format=v7", longNames);
    if (options.includes("xattrs"))
      setXattr(`${tree}/second`, { name: Buffer.from("user.note"), value: Buffer.from("a\0b") });
    await shell(`set -f; tar --numeric-owner ${options} -C "${tree}" -cf "${root}/a.tar" .`);
    for (const name of ["ours", "theirs"]) mkdirSync(`${root}/${name}`);
    await shell(
      `set -f; tar --numeric-owner --xattrs --xattrs-include=* -C "${root}/theirs" -xpf "${root}/a.tar"`,
    );
    stripTree(`${root}/theirs`);
    const limits = { size: 1 << 30, space: 1 << 30, entries: 1000 };
    const archive = chunksOf(readFileSync(`${root}/a.tar`));
    const result = await unpack(readTar(archive), `${root}/ours`, templatePolicy(), limits);
    expect(result).toMatchObject({ nodes: options === "--format=v7" ? 0 : 2, copies: 1, attributes: 0 });
    stripTree(`${root}/ours`);
    expect(await digestTree(`${root}/ours`)).toEqual(await digestTree(`${root}/theirs`));
    if (options.includes("sparse")) {
      const blocks = await Bun.$`stat -c %b ${root}/ours/sparse`.text();
      expect(Number(blocks)).toBeLessThan(1000);
    }
  });
});
