/** The tar that criu finds first, beside the real one: each reads what the other wrote. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { crc32, gzipSync } from "node:zlib";
import { binaryPath } from "../kernel/binaries.ts";
import { memberHeader, plainHeader } from "../storage/archive/tar-block.ts";

const isRoot = process.getuid?.() === 0;
const ours = isRoot ? binaryPath("criu-tools/tar") : "";
const theirs = "/usr/bin/tar";
const CREATE = ["--create", "--gzip", "--no-unquote", "--no-wildcards", "--one-file-system", "--check-links"];
const KEEP = ["--preserve-permissions", "--sparse", "--numeric-owner", "--directory"];
const EXTRACT = ["--extract", "--gzip", "--no-unquote", "--no-wildcards", "--directory"];

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(`${tmpdir()}/t-criu-tar-`);
  mkdirSync(`${dir}/from`);
  mkdirSync(`${dir}/to`);
});
afterEach(() => rmSync(dir, { recursive: true }));

const sh = (line: string): string => {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["/bin/sh", "-ec", line], { cwd: dir });
  if (exitCode !== 0) throw new Error(stderr.toString());
  return stdout.toString();
};

function create(program: string): Uint8Array {
  const { exitCode, stdout, stderr } = Bun.spawnSync([program, ...CREATE, ...KEEP, `${dir}/from`, "."]);
  expect([exitCode, stderr.toString()]).toEqual([0, expect.stringMatching(/^$|socket ignored/)]);
  return stdout;
}

function extract(program: string, archive: Uint8Array): { readonly code: number; readonly said: string } {
  writeFileSync(`${dir}/archive`, archive);
  const { exitCode, stderr } = Bun.spawnSync([program, ...EXTRACT, `${dir}/to`], {
    stdin: Bun.file(`${dir}/archive`),
  });
  return { code: exitCode, said: stderr.toString() };
}

const listing = (tree: string): string =>
  sh(`cd ${tree} && find . ! -type s -printf '%P %y %m %U %G %n %s %l %Ts\\n' | sed 's/^\\(.* d .*\\) [0-9]* [0-9]* \\( [0-9]*\\)$/\\1\\2/' | sort
      find . -type f -exec sha256sum {} + | sort -k2`);

/** What is in a guest's /run. */
const plain = `cd from; chmod 1777 .; touch -d @1700000000 empty; mkdir -m 2755 -p a/b/c; echo hello > a/b/file; chmod 4755 a/b/file
  chown 1000:2000 a/b/file a/b; ln -s ../b/file a/link; ln -s /nowhere a/dangling; chown -h 7:8 a/link; mkfifo -m 620 a/fifo; mknod -m 600 a/none c 0 0
  head -c 300000 /dev/urandom > big; printf x > 'name with "odd" bytes'; touch -d @1600000000 a/b/c a/b a .`;

/** How GNU tar made it: real compression, nothing of ours. */
const others: Readonly<Record<string, string>> = {
  "hard links": "cd from; echo one > one; ln one two",
  holes: "cd from; truncate -s 5M hole; echo end >> hole",
  "long names": `cd from; touch ${"n".repeat(200)}`,
  devices: "cd from; mknod null c 1 3",
};

describe.skipIf(!isRoot)("criu's tar", () => {
  for (const [writer, reader] of [
    [ours, ours],
    [ours, theirs],
    [theirs, ours],
  ] as const)
    test(`${writer === ours ? "ours" : "GNU's"} writes, ${reader === ours ? "ours" : "GNU's"} reads`, () => {
      sh(plain);
      expect(extract(reader, create(writer))).toMatchObject({ code: 0 });
      expect(listing("to")).toBe(listing("from"));
    });

  for (const [what, line] of Object.entries(others))
    test(`${what} are left to the real one`, () => {
      sh(line);
      const archive = create(ours);
      expect(Buffer.from(archive.subarray(4, 8)).toString("latin1")).not.toBe("brth");
      expect(extract(ours, archive)).toMatchObject({ code: 0 });
      expect(listing("to")).toBe(listing("from"));
    });

  test("an archive whose names lead out, or that is damaged, makes nothing outside", () => {
    const file = { ...plainHeader, size: 0, type: "0" } as const;
    const link = memberHeader({
      ...plainHeader,
      name: Buffer.from("./l"),
      type: "2",
      link: Buffer.from(".."),
    });
    const member = (name: string): Buffer => memberHeader({ ...file, name: Buffer.from(name) });
    for (const members of [
      [member("../out")],
      [member(`${dir}/out`)],
      [link, member("./l/out")],
      [member("./a/../../out")],
    ]) {
      extract(ours, stored(Buffer.concat(members)));
      expect(sh("ls")).toBe("archive\nfrom\nto\n");
      sh("rm -rf to; mkdir to");
    }
    const cut = memberHeader({ ...file, name: Buffer.from("./x"), size: 4096 });
    for (const archive of [
      stored(cut),
      stored(Buffer.concat([member("./y"), member("./y")])),
      gzipSync("no archive ".repeat(100)),
    ])
      expect(extract(ours, archive)).toEqual({ code: expect.any(Number), said: expect.stringMatching(/./) });
  });
});

/** As native/tar_gzip.c has it. */
function stored(tar: Buffer): Buffer {
  const whole = Buffer.concat([tar, Buffer.alloc(1024)]);
  const head = Buffer.alloc(5);
  head.writeUInt8(1, 0);
  head.writeUInt16LE(whole.length, 1);
  head.writeUInt16LE(whole.length ^ 0xffff, 3);
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(crc32(whole), 0);
  tail.writeUInt32LE(whole.length, 4);
  return Buffer.concat([Buffer.from("\x1f\x8b\x08\x00brth\x00\xff", "latin1"), head, whole, tail]);
}
