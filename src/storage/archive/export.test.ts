import { beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { silent } from "../../base/progress.ts";
import { testDirectory } from "../../base/test-directory.ts";
import { runProgram } from "../../kernel/run.ts";
import { setXattr } from "../../kernel/xattr.ts";
import { digestTree } from "../digest.ts";
import type { Template } from "../templates.ts";
import { isRoot } from "../testing.ts";
import { exportTemplate } from "./export.ts";

describe.skipIf(!isRoot)("exporting a tree", () => {
  const base = testDirectory("storage");
  const rootfs = `${base}/rootfs`;
  const file = `${base}/out.tar`;
  const template = { rootfs } as Template;
  beforeEach(() => {
    rmSync(base, { recursive: true, force: true });
    mkdirSync(rootfs, { recursive: true });
  });

  test("GNU tar makes the very same tree of it", async () => {
    const long = "d".repeat(90);
    mkdirSync(`${rootfs}/${long}/${long}`, { recursive: true });
    writeFileSync(`${rootfs}/${long}/${long}/deep`, "deep");
    writeFileSync(Buffer.from(`${rootfs}/\xff\xfe`, "latin1"), "bytes");
    writeFileSync(`${rootfs}/exactly`, Buffer.alloc(1024, 1));
    writeFileSync(`${rootfs}/big`, Buffer.alloc((1 << 20) + 7, 2));
    writeFileSync(`${rootfs}/empty`, "");
    chownSync(`${rootfs}/empty`, 1000, 65535);
    chmodSync(`${rootfs}/empty`, 0o6755);
    mkdirSync(`${rootfs}/tmp`);
    chmodSync(`${rootfs}/tmp`, 0o1777);
    symlinkSync("../nowhere", `${rootfs}/link`);
    symlinkSync("t".repeat(150), `${rootfs}/long-link`);
    for (const length of [1, 60, 75, 960, 975])
      setXattr(`${rootfs}/exactly`, {
        name: Buffer.from(`user.k${length}`),
        value: Buffer.alloc(length, 61),
      });
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    setXattr(`${rootfs}/big`, { name: Buffer.from("security.capability"), value: capability });
    await exportTemplate(template, file);
    mkdirSync(`${base}/again`);
    const unpack = [
      "tar",
      "--xattrs",
      "--xattrs-include=*",
      "--numeric-owner",
      "-xpf",
      file,
      "-C",
      `${base}/again`,
    ];
    expect(await runProgram(unpack, { package: "tar" })).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await digestTree(`${base}/again`)).toEqual(await digestTree(rootfs));
  });

  test("what fails or is interrupted leaves the old file as it was, and no other", async () => {
    writeFileSync(file, "old");
    await runProgram(["mknod", `${rootfs}/null`, "c", "1", "3"], { package: "coreutils" });
    await expect(exportTemplate(template, file)).rejects.toMatchObject({ code: "storage.failed" });
    rmSync(`${rootfs}/null`);
    for (let i = 0; i < 300; i += 1) writeFileSync(`${rootfs}/${i}`, "");
    const abort = new AbortController();
    abort.abort();
    const interrupted = exportTemplate(template, file, { ...silent, signal: abort.signal });
    await expect(interrupted).rejects.toMatchObject({ message: `writing ${file} was interrupted` });
    expect(await Bun.file(file).text()).toBe("old");
    expect(readdirSync(base).sort()).toEqual(["out.tar", "rootfs"]);
  });

  test("a directory that is not there is a clear error", async () => {
    await expect(exportTemplate(template, `${base}/no/out.tar`)).rejects.toMatchObject({ code: "host.io" });
  });
});
